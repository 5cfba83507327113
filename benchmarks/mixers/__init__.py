"""What one would write instead of data.mix: a script for each library, all doing the same.

``SCRIPT PRIMARY REPLAY OUT``: every row of PRIMARY and enough of REPLAY for 15 % of the whole, each
looked at (messages of known roles that are not empty, one of them the assistant's), in one order.
"""
