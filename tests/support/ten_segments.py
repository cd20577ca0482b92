"""Ten segments of known worth."""

import worth

WORTH = (5.0, -3.0, 1.0, 2.5, 6.0, -1.0, 0.5, -2.0, 4.0, 3.0)
D = len(WORTH)
DEMONSTRATIONS = worth.demonstrations(D)
SIZES = (1, 3, 5, 7, 9)
