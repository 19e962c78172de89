"""Changed evidence.  Whatever the change, the answer has to be a typed refusal.

``bytes_``, ``swaps``, ``der``, ``pem``, ``json_text`` and ``xml`` change specimens, each on its own level of the
format; ``kinds`` lists them; ``malleable`` is the written list of what may change and still be accepted; ``campaign``
runs them all and counts.
"""
