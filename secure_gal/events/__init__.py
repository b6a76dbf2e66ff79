"""Facts that a party may act on, show and print: one class a fact, and `Event`, the closed union of them all.

The tag of a class is its name in `--json` and its attributes are the fields there (docs/EVENTS.md): they stay when a
class or a text is renamed. Attributes are plain values, never payloads, arrays or secrets. A fact knows no time; who
writes it down adds that. Its text for people is in `parties/run/progress.py`.
"""

from __future__ import annotations

from secure_gal.events.beginnings import Aligned as Aligned
from secure_gal.events.beginnings import Beginning as Beginning
from secure_gal.events.beginnings import Classes as Classes
from secure_gal.events.beginnings import Greeted as Greeted
from secure_gal.events.beginnings import Masking as Masking
from secure_gal.events.beginnings import PairAligned as PairAligned
from secure_gal.events.beginnings import Prepared as Prepared
from secure_gal.events.beginnings import Resumed as Resumed
from secure_gal.events.beginnings import RowsKnown as RowsKnown
from secure_gal.events.beginnings import StudyDiffers as StudyDiffers
from secure_gal.events.beginnings import Tagged as Tagged
from secure_gal.events.beginnings import UnlikeRelease as UnlikeRelease
from secure_gal.events.beginnings import Unmatched as Unmatched
from secure_gal.events.connections import Connected as Connected
from secure_gal.events.connections import Connection as Connection
from secure_gal.events.connections import Dialling as Dialling
from secure_gal.events.connections import Disconnected as Disconnected
from secure_gal.events.connections import Listening as Listening
from secure_gal.events.connections import RefusedPeer as RefusedPeer
from secure_gal.events.connections import RolledBack as RolledBack
from secure_gal.events.connections import Transport as Transport
from secure_gal.events.connections import Undelivered as Undelivered
from secure_gal.events.connections import Waiting as Waiting
from secure_gal.events.connections import Workers as Workers
from secure_gal.events.fact import Fact as Fact
from secure_gal.events.milestones import Certified as Certified
from secure_gal.events.milestones import Committed as Committed
from secure_gal.events.milestones import Learned as Learned
from secure_gal.events.milestones import Milestone as Milestone
from secure_gal.events.milestones import RoundBegun as RoundBegun
from secure_gal.events.milestones import RunAgreed as RunAgreed
from secure_gal.events.record import RoundRecord as RoundRecord
from secure_gal.events.results import AlreadyLearned as AlreadyLearned
from secure_gal.events.results import BatchResumed as BatchResumed
from secure_gal.events.results import Found as Found
from secure_gal.events.results import Judged as Judged
from secure_gal.events.results import KeepFromAssistors as KeepFromAssistors
from secure_gal.events.results import NotCompared as NotCompared
from secure_gal.events.results import Predicted as Predicted
from secure_gal.events.results import PredictionsWritten as PredictionsWritten
from secure_gal.events.results import Refused as Refused
from secure_gal.events.results import ReportWritten as ReportWritten
from secure_gal.events.results import Result as Result
from secure_gal.events.results import ResultsCompleted as ResultsCompleted
from secure_gal.events.results import ResultsIn as ResultsIn
from secure_gal.events.results import ResultsWritten as ResultsWritten
from secure_gal.events.results import Scored as Scored
from secure_gal.events.results import Stale as Stale
from secure_gal.events.results import ThresholdChosen as ThresholdChosen
from secure_gal.events.rounds import Exposure as Exposure
from secure_gal.events.rounds import Finished as Finished
from secure_gal.events.rounds import FinishedEncrypted as FinishedEncrypted
from secure_gal.events.rounds import GotKeys as GotKeys
from secure_gal.events.rounds import Hiding as Hiding
from secure_gal.events.rounds import LearnerUsed as LearnerUsed
from secure_gal.events.rounds import PeerFitted as PeerFitted
from secure_gal.events.rounds import Round as Round
from secure_gal.events.rounds import RoundFitted as RoundFitted
from secure_gal.events.rounds import Summed as Summed
from secure_gal.events.rounds import Width as Width
from secure_gal.events.words import Failed as Failed
from secure_gal.events.words import Logged as Logged
from secure_gal.events.words import Warned as Warned
from secure_gal.events.words import Words as Words

Event = Milestone | Connection | Beginning | Round | Result | Words
"""Every fact there is."""
