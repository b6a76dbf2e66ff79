"""One frozen type per message; nothing here knows how bytes look or how they travel.

`docs/PROTOCOL.md` numbers the same messages. Each class lists its payload fields in `FIELDS`, in wire order;
the wire layer refuses anything whose dtype, number of dimensions or protection differs from that list.
"""

from __future__ import annotations

from secure_gal.messages.agreement import Greeting, Hello, Nonces, RunAgreement, RunOffer, RunSignature, Signatures
from secure_gal.messages.alignment import IN_THE_CLEAR, Ids, MaskedIds, MaskedQuery, Realign, Rows, Shape, Step, Tags
from secure_gal.messages.encrypted import (
    EncryptedFinish,
    EncryptedFitted,
    EncryptedResidual,
    EvaluationKeys,
    Features,
    Width,
)
from secure_gal.messages.evidence import HeadRequest, HeadsSignature, LedgerCertificate, LedgerHead, LedgerHeads
from secure_gal.messages.fields import (
    MAX_JSON_BYTES,
    MAX_OUTPUTS,
    MAX_ROWS,
    MAX_SMALL_JSON_BYTES,
    FieldSpec,
    Protection,
)
from secure_gal.messages.prediction import (
    Batch,
    EncryptedPredictReply,
    NoisedPredictReply,
    PredictReply,
    PredictRequest,
    PredictRows,
)
from secure_gal.messages.rounds import Ending, Finish, Finished, Fitted, NoisedFitted, PrivatisedResidual, Residual
from secure_gal.messages.sums import (
    Announcement,
    Author,
    Declaration,
    Declarations,
    Declared,
    InnerProducts,
    KnownReply,
    KnownRequest,
    OwnDifference,
    PartKey,
    ProductKeys,
    RelayedFitted,
    RelayedPart,
    SealedFitted,
    SealedPart,
    SummedPart,
    WeightedSum,
    Weights,
)

Message = (
    Hello
    | RunOffer
    | RunSignature
    | RunAgreement
    | Ids
    | Realign
    | MaskedIds
    | MaskedQuery
    | Tags
    | PredictRows
    | Rows
    | Residual
    | PrivatisedResidual
    | Fitted
    | NoisedFitted
    | Features
    | EvaluationKeys
    | EncryptedResidual
    | EncryptedFitted
    | EncryptedFinish
    | EncryptedPredictReply
    | HeadRequest
    | LedgerHead
    | LedgerHeads
    | HeadsSignature
    | LedgerCertificate
    | Finish
    | Finished
    | PredictRequest
    | PredictReply
    | NoisedPredictReply
    | Declared
    | Declarations
    | ProductKeys
    | SealedFitted
    | RelayedFitted
    | OwnDifference
    | InnerProducts
    | Weights
    | WeightedSum
    | KnownRequest
    | KnownReply
    | PartKey
    | SealedPart
    | RelayedPart
    | SummedPart
)

MESSAGES: dict[str, type[Message]] = {
    kind.KIND: kind
    for kind in (
        Hello,
        RunOffer,
        RunSignature,
        RunAgreement,
        Ids,
        Realign,
        MaskedIds,
        MaskedQuery,
        Tags,
        PredictRows,
        Rows,
        Residual,
        PrivatisedResidual,
        Fitted,
        NoisedFitted,
        Features,
        EvaluationKeys,
        EncryptedResidual,
        EncryptedFitted,
        EncryptedFinish,
        EncryptedPredictReply,
        HeadRequest,
        LedgerHead,
        LedgerHeads,
        HeadsSignature,
        LedgerCertificate,
        Finish,
        Finished,
        PredictRequest,
        PredictReply,
        NoisedPredictReply,
        Declared,
        Declarations,
        ProductKeys,
        SealedFitted,
        RelayedFitted,
        OwnDifference,
        InnerProducts,
        Weights,
        WeightedSum,
        KnownRequest,
        KnownReply,
        PartKey,
        SealedPart,
        RelayedPart,
        SummedPart,
    )
}

__all__ = [
    "IN_THE_CLEAR",
    "MAX_JSON_BYTES",
    "MAX_OUTPUTS",
    "MAX_ROWS",
    "MAX_SMALL_JSON_BYTES",
    "MESSAGES",
    "Announcement",
    "Author",
    "Batch",
    "Declaration",
    "Declarations",
    "Declared",
    "EncryptedFinish",
    "EncryptedFitted",
    "EncryptedPredictReply",
    "EncryptedResidual",
    "Ending",
    "EvaluationKeys",
    "Features",
    "FieldSpec",
    "Finish",
    "Finished",
    "Fitted",
    "Greeting",
    "HeadRequest",
    "HeadsSignature",
    "Hello",
    "Ids",
    "InnerProducts",
    "KnownReply",
    "KnownRequest",
    "LedgerCertificate",
    "LedgerHead",
    "LedgerHeads",
    "MaskedIds",
    "MaskedQuery",
    "Message",
    "NoisedFitted",
    "NoisedPredictReply",
    "Nonces",
    "OwnDifference",
    "PartKey",
    "PredictReply",
    "PredictRequest",
    "PredictRows",
    "PrivatisedResidual",
    "ProductKeys",
    "Protection",
    "Realign",
    "RelayedFitted",
    "RelayedPart",
    "Residual",
    "Rows",
    "RunAgreement",
    "RunOffer",
    "RunSignature",
    "SealedFitted",
    "SealedPart",
    "Shape",
    "Signatures",
    "Step",
    "SummedPart",
    "Tags",
    "WeightedSum",
    "Weights",
    "Width",
]
