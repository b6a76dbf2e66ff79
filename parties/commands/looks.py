"""How a party's ids and labels look, in lines for its own person; nothing of it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from secure_gal.data.label_form import LabelForm
    from secure_gal.data.table import Table
    from secure_gal.settings.party import PartySettings
    from secure_gal.settings.study import Study


def ids_in_words(table: Table, study: Study) -> tuple[list[str], list[str]]:
    """The form of each id column with what every `id_form` would make of the ids; and warnings."""
    from secure_gal.data.id_form import advice, effects_of_forms, form_of
    from secure_gal.data.id_mixed import mixed_forms

    columns = {name: table.written[name].to_list() for name in table.written.columns}
    forms = {name: form_of(name, values) for name, values in columns.items()}
    effects = effects_of_forms(list(columns.values()))
    lines = [
        "how ids are written here, to compare with the other parties by telephone before anything is aligned",
        *(line for form in forms.values() for line in form.lines()),
        *advice(len(table.ids), effects, study.form),
    ]
    return lines, [text for name, values in columns.items() for text in mixed_forms(forms[name], values)]


def classes_of(table: Table, party: PartySettings, study: Study) -> LabelForm | None:
    """The classes of a sponsor's label; None where there are none: at an assistor, or for a regression."""
    from secure_gal.data.label_form import label_form

    classifies = study.task == "classification" and party.party == study.sponsor
    if not classifies or table.labels is None or party.data.label is None:
        return None
    return label_form(party.data.label, table.labels)
