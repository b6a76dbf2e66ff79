"""One frozen type per message; nothing here knows how bytes look or how they travel.

`docs/PROTOCOL.md` numbers the same messages: its tables are made from the classes. Each class is named and registered
once, in its own module, by `kinds.message`; it lists its payload fields in `FIELDS`, in wire order, and the wire layer
refuses anything whose dtype, number of dimensions or protection differs from that list.
"""

from secure_gal.messages.agreement import *  # noqa: F403  (a list of names here would be a second register)
from secure_gal.messages.alignment import *  # noqa: F403
from secure_gal.messages.encrypted import *  # noqa: F403
from secure_gal.messages.evidence import *  # noqa: F403
from secure_gal.messages.fields import *  # noqa: F403
from secure_gal.messages.kinds import *  # noqa: F403
from secure_gal.messages.prediction import *  # noqa: F403
from secure_gal.messages.rounds import *  # noqa: F403
from secure_gal.messages.sums import *  # noqa: F403
