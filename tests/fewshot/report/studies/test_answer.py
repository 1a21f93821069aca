"""The best method at each number of labels. Oracle: sentences and cells written out by hand."""

from __future__ import annotations

from fewshot.report.studies import answer
from fewshot.report.studies.contests import contests
from tests.fewshot.report.studies.test_contests import CLOSE, FIRST, LOW, entry


def test_sentences_state_what_is_certain():
    frozen = {"config": {"train": None}}
    few = contests(
        [
            entry("probe", FIRST, **frozen),
            entry("finetune", CLOSE),
            entry("scratch", LOW, weights="none"),
            entry("probe", LOW, labels=16, shots=8, **frozen),
            entry("finetune", FIRST, labels=16, shots=8),
        ]
    )
    words = answer.sentences(few)
    assert words[0] == (
        "These systems are the best on digits. With 4 labels per class, probe on conv4, pretrained "
        "weights reaches 0.6133 ± 0.0127 (n = 6). With 8 labels per class, finetune on conv4, "
        "pretrained weights reaches 0.6133 ± 0.0127 (n = 6)."
    )
    assert words[1].startswith(
        "Training a pretrained network is certainly better than a classifier on frozen features in "
        "its best setting: by 0.3000 ± "
    )
    assert words[2] == "With 4 labels per class, the trials do not separate these two."
    assert words[3].startswith("The best system from pretrained weights is ahead of the best one")
    assert words[3].endswith(
        "with 4 labels per class. This lead is certain at 1 of 1 number of labels."
    )
    assert "every other one at 1 of 2 numbers of labels" in words[4]


def test_a_lead_from_random_weights_is_stated_too():
    words = answer.sentences(
        contests([entry("scratch", FIRST, weights="none"), entry("finetune", LOW)])
    )
    assert words[1].startswith(
        "The best system from random weights is ahead of the best one from pretrained weights "
        "(training a pretrained network) by 0.3000 ± "
    )
    assert words[1].endswith("with 4 labels per class, which is certain.")


def test_the_table_has_a_row_for_each_number_of_labels():
    table = answer.table(
        contests(
            [
                entry("finetune", FIRST),
                entry("experts", CLOSE),
                entry("finetune", FIRST, labels=16, shots=8),
                entry("scratch", LOW, weights="none", labels=16, shots=8),
            ]
        )
    )
    assert [row[0].text for row in table.rows] == ["4", "8"]
    assert [row[4].text for row in table.rows] == ["experts", "scratch on conv4, random weights"]
    assert [row[6].text for row in table.rows] == ["0 of 1", "1 of 1"]


def test_numbers_of_labels_with_few_systems_are_left_out_beside_others_with_many():
    few = [entry(one, LOW, labels=16, shots=8) for one in ("finetune", "experts")]
    many = [entry(one, FIRST) for one in ("finetune", "experts", "probe", "maml")]
    question = answer.question_of(contests([*few, *many]))
    assert [row[0].text for row in question.table.rows] == ["4"]
    assert question.sentences[0].count("labels per class") == 1
    assert dict(question.table.notes)["left out"] == (
        "8 labels per class of digits, where fewer than 4 systems were measured"
    )
    alone = answer.question_of(contests(few))
    assert [row[0].text for row in alone.table.rows] == ["8"]
    assert "left out" not in dict(alone.table.notes)


def test_notes_name_the_images_and_what_the_networks_knew():
    jpeg = {"data_notes": ["a re-encoding"]}
    table = answer.table(
        contests(
            [
                entry("finetune", FIRST, warnings=["it knew the classes"], **jpeg),
                entry("experts", LOW),
                entry("finetune", FIRST, labels=16, shots=8, **jpeg),
                entry("experts", LOW, labels=16, shots=8),
            ]
        )
    )
    assert table.notes[2:] == [("all", "a re-encoding"), ("4 per class", "it knew the classes")]


def test_a_higher_accuracy_of_a_single_trial_is_named():
    some = [entry("finetune", LOW), entry("experts", LOW), entry("probe", (0.9,))]
    notes = dict(answer.table(contests(some)).notes)
    assert notes["single trials"].endswith(
        ": probe on conv4, pretrained weights 0.9000 with 4 labels per class"
    )
    lower = answer.table(contests([*some[:2], entry("probe", (0.1,))]))
    assert "single trials" not in dict(lower.notes)


def test_what_one_record_says_of_the_pretraining_holds_for_all_of_its_network():
    warning = "backbone 'conv4' was pretrained on classes of the data"
    table = answer.table(
        contests(
            [
                entry("finetune", FIRST, warnings=[warning]),
                entry("experts", LOW),
                entry("probe", FIRST, labels=16, shots=8),
                entry("experts", LOW, labels=16, shots=8),
                entry("scratch", FIRST, labels=32, shots=16, weights="none"),
                entry("experts", LOW, labels=32, shots=16),
            ]
        )
    )
    assert ("4 and 8 per class", warning) in table.notes
