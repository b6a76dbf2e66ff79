"""What each role takes in each phase, in every mode."""

from __future__ import annotations

from tests.support.hostile_studies import MODES

STALE = {"masked-ids", "tags", "realign"}
"""Ignored at the sponsor where a private alignment has ended."""

SPONSOR: dict[str, dict[str, set[str]]] = {
    mode: {
        "greeting": {"hello"},
        "signing": {"run-signature"},
        "aligning": STALE if "psi" in protect.ids else {"ids"},
        "learning": {
            "clear": {"fitted"},
            "private ids": {"fitted"},
            "rounded": {"fitted"},
            "privatised": {"fitted"},
            "noised": {"noised-fitted"},
            "ckks": {"encrypted-fitted"},
        }.get(mode, {"sealed-fitted", "inner-products", "weighted-sum"}),
        "declaring": {"declared"} if protect.summed else {"features"},
        "finishing": {"finished"},
        "finished": set(),
        "unmatched": set(),
    }
    for mode, protect in MODES.items()
}
ASSISTOR: dict[str, dict[str, set[str]]] = {
    mode: {
        "greeted": {"run-offer"},
        "signed": {"run-agreement"},
        "aligning": {"rows", "no-rows", *({"realign", "masked-query"} if protect.ids == "psi" else ())},
        "declaring": {"evaluation-keys", "declarations"} if protect.summed else {"evaluation-keys"},
        "learning": {
            {"dp": "privatised-residual", "ckks": "encrypted-residual"}.get(protect.residuals, "residual"),
            "encrypted-finish" if protect.encrypted else "finish",
            *({"relayed-fitted", "own-difference", "weights"} if protect.summed else set()),
        },
        "concluding": set(),
        "unmatched": set(),
        "serving": {
            *({"realign", "masked-query", "predict-rows"} if protect.ids == "psi" else {"predict-request"}),
            *({"part-key", "relayed-part"} if protect.summed else set()),
            *({"known-request"} if protect.summed and protect.ids == "clear" else set()),
        },
    }
    for mode, protect in MODES.items()
}
