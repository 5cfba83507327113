"""A hub of our own on the loopback, good enough for the real huggingface_hub client.

It keeps repositories of models and of data sets (``datasets/OWNER/NAME``) with their commits, serves
what a client downloads and keeps what one uploads. It can move a branch, swap a file under a commit,
cut a file short, and go away. Nothing leaves this machine, and what it was asked stands in `requests`.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

Files = Mapping[str, bytes]
LARGE = (".safetensors", ".bin", ".gguf")


@dataclass
class Repo:
    """A repository: its commits in order, and what each branch or tag points at."""

    commits: dict[str, Files] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    private: bool = False

    def commit(self, files: Files, branch: str = "main") -> str:
        """Add a commit that holds just these files; return its hash."""
        said = json.dumps([len(self.commits), {k: _sha1(v) for k, v in sorted(files.items())}])
        commit = hashlib.sha1(said.encode()).hexdigest()
        self.commits[commit] = dict(files)
        self.refs[branch] = commit
        return commit

    def at(self, revision: str) -> str | None:
        """Return the commit a branch, a tag or a commit's hash means."""
        return self.refs.get(revision, revision if revision in self.commits else None)

    def swap(self, path: str, content: bytes, revision: str = "main") -> None:
        """Put another content under the same commit, as no hub should."""
        commit = self.at(revision)
        assert commit is not None
        self.commits[commit] = {**self.commits[commit], path: content}

    @property
    def files(self) -> Files:
        """Return what the main branch holds."""
        return self.commits[self.refs["main"]] if self.refs else {}


class Hub:
    """A hub for as long as a ``with`` lasts; `url` is what HF_ENDPOINT has to say."""

    def __init__(self, token: str = "") -> None:
        self.token = token
        self.repos: dict[str, Repo] = {}
        self.large: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.withholds = "nothing"  # a file that nobody gets for now
        self.loses = ""  # a file that a commit drops without a word
        self.cuts = "nothing"  # a file of which half is sent
        self.lock = threading.Lock()
        hub = self

        class Bound(Handler):
            pass

        Bound.hub = hub
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def leave(self) -> None:
        """Answer nobody any more."""
        self.server.shutdown()
        self.server.server_close()

    def repo(self, name: str, folder: Path | None = None, *, gated: bool = False) -> Repo:
        """Make a repository that holds the files of a folder."""
        self.repos[name] = Repo(gated=gated)
        if folder:
            paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
            self.repos[name].commit(
                {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
            )
        return self.repos[name]

    def env(self, home: Path) -> dict[str, str]:
        """Return the environment of a client of this hub; `home` holds its cache."""
        said = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
        quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
        return {**said, **quiet, "NO_PROXY": "127.0.0.1"}


class RefusedError(Exception):
    """An answer that is an error; the hub says which in a header."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Handler(BaseHTTPRequestHandler):
    """One request of a client."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.answer()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def answer(self) -> None:
        parts = urlsplit(self.path)
        self.query = parse_qs(parts.query)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(parts.path)
        with self.hub.lock:
            self.hub.requests.append(f"{self.command} {path}")
            try:
                self.respond(path)
            except RefusedError as error:
                said = {"X-Error-Code": error.code, "X-Error-Message": str(error)}
                kept = {name: value for name, value in said.items() if value}
                self.say(json.dumps({"error": str(error)}).encode(), kept, error.status)

    def respond(self, path: str) -> None:
        if path.endswith(self.hub.withholds):
            raise RefusedError(403, "", "not now")
        for method, pattern, respond in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and self.command in method:
                words = found.groupdict()
                kind = words.pop("kind", None) or ""
                # As the hub has it: a data set's name begins so in every address but in the API's.
                if kind.startswith("datasets"):
                    words["name"] = f"datasets/{words['name']}"
                return respond(self, **words)
        raise RefusedError(404, "", f"this double knows no {self.command} {path}")

    def say(
        self,
        content: bytes,
        headers: Mapping[str, str] = {},
        status: int = 200,
        *,
        cut: bool = False,
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = cut

    def tell(self, value: object) -> None:
        self.say(json.dumps(value).encode(), {"Content-Type": "application/json"})

    @property
    def known(self) -> bool:
        """Whether the client says the token this hub knows."""
        said = self.headers.get("Authorization", "")
        return bool(self.hub.token) and said == f"Bearer {self.hub.token}"

    def find(self, name: str, revision: str = "main", *, read: bool = False) -> tuple[Repo, str]:
        """Return a repository and a commit of it; a gated one shows no content."""
        repo = self.hub.repos.get(name)
        if repo is None:
            # As the hub does: to a stranger it does not say whether there is such a repository.
            raise RefusedError(404 if self.known else 401, "RepoNotFound", "Repository not found")
        if repo.gated and read:
            why = f"Access to model {name} is restricted and you are not in the authorized list."
            raise RefusedError(403 if self.known else 401, "GatedRepo", why)
        commit = repo.at(revision)
        if commit is None:
            raise RefusedError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repo, commit

    def writable(self, name: str) -> Repo:
        """Return a repository to write to; a stranger cannot."""
        if not self.known:
            raise RefusedError(401, "", "Invalid username or password.")
        if name not in self.hub.repos:
            raise RefusedError(404, "RepoNotFound", "Repository not found")
        return self.hub.repos[name]

    def whoami(self) -> None:
        if not self.known:
            raise RefusedError(401, "", "Invalid username or password.")
        self.tell({"type": "user", "name": "someone", "orgs": [], "auth": {"type": "access_token"}})

    def info(self, name: str, revision: str | None = None) -> None:
        repo, commit = self.find(name, revision or "main")
        names = [{"rfilename": path} for path in sorted(repo.commits[commit])]
        said = {"_id": _sha1(name.encode())[:24], "id": name, "modelId": name, "author": "someone"}
        flags = {
            "private": repo.private,
            "disabled": False,
            "gated": "manual" if repo.gated else False,
        }
        self.tell({**said, **flags, "sha": commit, "tags": [], "downloads": 0, "likes": 0,
                   "siblings": names})  # fmt: skip

    def tree(self, name: str, revision: str) -> None:
        repo, commit = self.find(name, revision, read=True)
        self.tell([_entry(path, content) for path, content in repo.commits[commit].items()])

    def resolve(self, name: str, revision: str, path: str) -> None:
        repo, commit = self.find(name, revision, read=True)
        content = repo.commits[commit].get(path)
        if content is None:
            raise RefusedError(404, "EntryNotFound", "Entry not found")
        headers = {"X-Repo-Commit": commit, "ETag": f'"{_etag(path, content)}"'}
        if path == self.hub.cuts and self.command == "GET":
            self.say(content, headers, cut=True)
            return
        start = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if start is None or not content:
            self.say(content, {**headers, "Accept-Ranges": "bytes"})
            return
        first, last = int(start[1]), min(int(start[2] or len(content)), len(content) - 1)
        span = f"bytes {first}-{last}/{len(content)}"
        self.say(content[first : last + 1], {**headers, "Content-Range": span}, 206)

    def create(self) -> None:
        if not self.known:
            raise RefusedError(401, "", "Invalid username or password.")
        said = json.loads(self.body)
        name = f"{said.get('organization') or 'someone'}/{said['name']}"
        if name in self.hub.repos:
            self.say(json.dumps({"error": "exists", "url": f"{self.hub.url}/{name}"}).encode(),
                     status=409)  # fmt: skip
            return
        repo = self.hub.repo(name)
        repo.commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        # 1.x says private: true, 2.x visibility.
        repo.private = bool(said.get("private")) or said.get("visibility") == "private"
        self.tell({"url": f"{self.hub.url}/{name}", "name": name, "id": name})

    def branch(self, name: str, revision: str) -> None:
        repo = self.writable(name)
        repo.refs[revision] = repo.refs["main"]
        self.tell({})

    def card(self) -> None:
        self.tell({"errors": [], "warnings": []})

    def preupload(self, name: str, revision: str) -> None:
        self.writable(name)
        files = json.loads(self.body)["files"]
        self.tell({"files": [
            {"path": one["path"], "uploadMode": "lfs" if one["path"].endswith(LARGE) else "regular",
             "shouldIgnore": False, "oid": None}
            for one in files
        ]})  # fmt: skip

    def batch(self, name: str) -> None:
        self.writable(name)
        href = f"{self.hub.url}/large"
        self.tell({"transfer": "basic", "objects": [
            {**one, "actions": {"upload": {"href": f"{href}/{one['oid']}"}}}
            for one in json.loads(self.body)["objects"]
        ]})  # fmt: skip

    def put(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise RefusedError(400, "", "the content is not what its name says")
        self.hub.large[oid] = self.body
        self.say(b"")

    def commit(self, name: str, revision: str) -> None:
        repo = self.writable(name)
        files = dict(repo.commits[repo.at(revision) or next(reversed(repo.commits))])
        for line in self.body.splitlines():
            said = json.loads(line)
            value = said["value"]
            if said["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif said["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            elif said["key"] == "deletedFile":
                del files[value["path"]]
        files.pop(self.hub.loses, None)
        commit = repo.commit(files, revision)
        self.tell({"success": True, "commitOid": commit,
                   "commitUrl": f"{self.hub.url}/{name}/commit/{commit}"})  # fmt: skip


def _sha1(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def _blob(content: bytes) -> str:
    """Return what git calls a file's content."""
    return _sha1(b"blob %d\0" % len(content) + content)


def _etag(path: str, content: bytes) -> str:
    return hashlib.sha256(content).hexdigest() if path.endswith(LARGE) else _blob(content)


def _entry(path: str, content: bytes) -> dict[str, object]:
    said = {"type": "file", "path": path, "size": len(content), "oid": _blob(content)}
    large = {"oid": _etag(path, content), "size": len(content), "pointerSize": 134}
    return {**said, "lfs": large} if path.endswith(LARGE) else said


KIND = r"(?P<kind>models|datasets)"
NAME = r"(?P<name>[^/]+/[^/]+)"
ROUTES = (
    ({"GET"}, r"/api/whoami-v2", Handler.whoami),
    ({"POST"}, r"/api/repos/create", Handler.create),
    ({"POST"}, r"/api/validate-yaml", Handler.card),
    ({"GET"}, rf"/api/{KIND}/{NAME}", Handler.info),
    ({"GET"}, rf"/api/{KIND}/{NAME}/revision/(?P<revision>.+)", Handler.info),
    ({"GET"}, rf"/api/{KIND}/{NAME}/tree/(?P<revision>[^/]+)", Handler.tree),
    ({"POST"}, rf"/api/models/{NAME}/branch/(?P<revision>.+)", Handler.branch),
    ({"POST"}, rf"/api/models/{NAME}/preupload/(?P<revision>.+)", Handler.preupload),
    ({"POST"}, rf"/api/models/{NAME}/commit/(?P<revision>.+)", Handler.commit),
    ({"POST"}, rf"/{NAME}\.git/info/lfs/objects/batch", Handler.batch),
    ({"PUT"}, r"/large/(?P<oid>[0-9a-f]{64})", Handler.put),
    (
        {"GET", "HEAD"},
        rf"/(?P<kind>datasets/)?{NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
        Handler.resolve,
    ),
)
