"""Which holding a party has in a study: what its protections ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secure_gal.settings.party import LearnerSettings
from secure_gal.settings.study import Study

if TYPE_CHECKING:
    from secure_gal.holdings.encrypted import EncryptedAssistorData
    from secure_gal.holdings.party import AssistorData
    from secure_gal.holdings.sponsor import SponsorData


def sponsor_data(study: Study) -> type[SponsorData]:
    """The sponsor's; where labels are released, `PrivatisedSponsorData`."""
    if study.protect.privatised:
        from secure_gal.holdings.privatised import PrivatisedSponsorData

        return PrivatisedSponsorData
    from secure_gal.holdings.sponsor import SponsorData

    return SponsorData


def assistor_data(study: Study, learner: LearnerSettings) -> type[AssistorData | EncryptedAssistorData]:
    """An assistor's with this learner."""
    protect = study.protect
    if protect.summed:
        from secure_gal.holdings.fresh import SumFreshData
        from secure_gal.holdings.sums import SumClearData, SumEncryptedData

        encrypted = SumFreshData if learner.fresh_features else SumEncryptedData
        return encrypted if protect.encrypted else SumClearData
    if protect.encrypted:
        from secure_gal.holdings.encrypted import EncryptedAssistorData

        return EncryptedAssistorData
    from secure_gal.holdings.party import AssistorData

    return AssistorData
