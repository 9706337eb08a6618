from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import weights_file, write_checkpoint

from autosurgeon.core.tensorfile import ALIGNMENT, read_header
from autosurgeon.errors import PackError
from autosurgeon.packs.chat_template import chat_template_of
from autosurgeon.packs.checkpoint import (
    INDEX_FILE,
    PICKLED,
    check_base,
    check_checkpoint,
    stage_checkpoint,
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "source")


def test_a_staged_checkpoint_starts_at_a_page_and_keeps_every_byte(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "staged"
    stage_checkpoint(source, target)
    old, new = (read_header(folder / "model.safetensors") for folder in (source, target))
    assert old.data_start % ALIGNMENT != 0
    assert new.data_start % ALIGNMENT == 0
    assert new.tensors == old.tensors
    bodies = [
        (folder / "model.safetensors").read_bytes()[header.data_start :]
        for folder, header in ((source, old), (target, new))
    ]
    assert bodies[0] == bodies[1]


def test_the_safetensors_library_reads_a_padded_file(source: Path, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors")
    stage_checkpoint(source, tmp_path / "staged")
    files = [(folder / "model.safetensors").read_bytes() for folder in (source, tmp_path / "staged")]
    old, new = (dict(safetensors.deserialize(raw)) for raw in files)
    assert old == new
    assert set(new) == {"embed.weight", "head.weight"}


def test_config_and_tokenizer_are_copied_and_nothing_else(source: Path, tmp_path: Path) -> None:
    for name in ("manifest.json", "model.safetensors.index.json", "README.md"):
        (source / name).write_text("{}")
    stage_checkpoint(source, tmp_path / "staged")
    assert sorted(file.name for file in (tmp_path / "staged").iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


@pytest.mark.parametrize("suffix", PICKLED)
def test_a_pickled_checkpoint_is_refused_even_beside_a_good_one(source: Path, suffix: str) -> None:
    (source / f"pytorch_model{suffix}").write_bytes(b"\x80\x04")
    with pytest.raises(PackError, match=f"pickled.*pytorch_model{suffix}"):
        check_checkpoint(source)


def test_a_checkpoint_with_its_own_code_is_refused(source: Path) -> None:
    (source / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "modeling.Evil"}}))
    with pytest.raises(PackError, match="auto_map"):
        check_checkpoint(source)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_an_incomplete_checkpoint_is_refused_and_the_file_named(source: Path, name: str) -> None:
    (source / name).unlink()
    with pytest.raises(PackError, match=f"no {name}"):
        check_checkpoint(source)


@pytest.mark.parametrize("text", [b"{", b"\xff", b"5", b"null", b'["auto_map"]', b"[" * 100_000])
def test_a_config_that_is_not_a_mapping_is_refused(source: Path, text: bytes) -> None:
    (source / "config.json").write_bytes(text)
    with pytest.raises(PackError, match="config"):
        check_checkpoint(source)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="missing"):
        check_checkpoint(tmp_path / "none")


def in_two_files(source: Path) -> dict[str, str]:
    """Move the checkpoint's second tensor into its own file, with an index, and return the index's map."""
    tensors = {"embed.weight": ("BF16", (3, 2), b"abcdefghijkl"), "head.weight": ("BF16", (2, 2), b"mnopqrst")}
    (source / "model.safetensors").write_bytes(weights_file(tensors))
    found = {}
    for number, (name, tensor) in enumerate(tensors.items(), start=1):
        found[name] = f"model-{number:05}-of-00002.safetensors"
        (source / found[name]).write_bytes(weights_file({name: tensor}))
    (source / INDEX_FILE).write_text(json.dumps({"metadata": {}, "weight_map": found}))
    return found


def test_a_checkpoint_in_several_files_is_staged_like_one_in_a_single_file(source: Path, tmp_path: Path) -> None:
    in_two_files(source)
    (source / "model.safetensors").rename(tmp_path / "whole")
    stage_checkpoint(source, tmp_path / "from-two")
    for file in source.glob("model*"):
        file.unlink()
    (tmp_path / "whole").rename(source / "model.safetensors")
    stage_checkpoint(source, tmp_path / "from-one")
    staged = [sorted((tmp_path / name).iterdir()) for name in ("from-two", "from-one")]
    assert [[file.name for file in files] for files in staged] == [[file.name for file in staged[0]]] * 2
    assert [[file.read_bytes() for file in files] for files in staged] == [[f.read_bytes() for f in staged[0]]] * 2


def test_several_files_that_do_not_match_their_index_are_refused_and_the_tensor_is_named(source: Path) -> None:
    found = in_two_files(source)
    with pytest.raises(PackError, match=r"twice.*embed\.weight in model-00001-of-00002.*and model\.safetensors"):
        check_base(source)
    (source / "model.safetensors").unlink()
    assert [file.name for file in check_base(source)] == sorted(found.values())
    last = source / found["head.weight"]
    kept = last.read_bytes()
    last.unlink()
    with pytest.raises(PackError, match=r"head\.weight: nowhere.*model-00002-of-00002"):
        check_base(source)
    last.write_bytes(weights_file({"other.weight": ("BF16", (1,), b"ab")}))
    with pytest.raises(PackError, match=r"head\.weight: nowhere"):
        check_base(source)
    last.write_bytes(kept)
    for index in ("{}", '{"weight_map": {}}', '{"weight_map": []}', '{"weight_map": {"embed.weight": [3]}}'):
        (source / INDEX_FILE).write_text(index)
        with pytest.raises(PackError, match="index"):
            check_base(source)
    (source / INDEX_FILE).unlink()
    with pytest.raises(PackError, match="has an index"):
        check_base(source)


def test_a_checkpoint_without_weights_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "model.safetensors").unlink()
    with pytest.raises(PackError, match="no weight file"):
        stage_checkpoint(source, tmp_path / "staged")


def test_weights_that_are_not_bf16_are_refused_and_the_tensor_is_named(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "source", dtype="F32")
    with pytest.raises(PackError, match=r"embed\.weight: F32"):
        stage_checkpoint(source, tmp_path / "staged")
    assert not (tmp_path / "staged").exists()


@pytest.mark.parametrize("cut", [1, 7, 17, 100])
def test_truncated_weights_are_refused(source: Path, tmp_path: Path, cut: int) -> None:
    path = source / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(PackError):
        stage_checkpoint(source, tmp_path / "staged")


def test_weights_with_trailing_bytes_are_refused(source: Path, tmp_path: Path) -> None:
    with (source / "model.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(PackError, match="tail"):
        stage_checkpoint(source, tmp_path / "staged")


def test_a_header_truncated_inside_its_padding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes((4088).to_bytes(8, "little") + b"{}" + b" " * 100)
    with pytest.raises(PackError, match="cut short"):
        read_header(path)


def test_a_pickle_under_another_name_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "model.safetensors").write_bytes(b"\x80\x04\x95" + bytes(200))
    with pytest.raises(PackError):
        stage_checkpoint(source, tmp_path / "staged")


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_config_that_requests_its_own_code_is_refused(source: Path, name: str) -> None:
    (source / name).write_text(json.dumps({"auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]}}))
    with pytest.raises(PackError, match=f"its own code.*auto_map.*{name}"):
        check_checkpoint(source)


def test_code_beside_the_weights_is_refused(source: Path) -> None:
    (source / "modeling_evil.py").write_text("")
    with pytest.raises(PackError, match=r"its own code.*modeling_evil\.py"):
        check_checkpoint(source)


def test_an_adapter_is_refused_and_its_base_named(source: Path) -> None:
    (source / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "one/base"}))
    with pytest.raises(PackError, match=r"an adapter is not a checkpoint.*one/base"):
        check_checkpoint(source)


def test_truncated_weights_are_refused_before_anything_is_copied(source: Path) -> None:
    path = source / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(PackError, match=r"cut short.*model\.safetensors"):
        check_checkpoint(source)


def test_an_organ_that_is_not_bf16_is_refused_but_a_model_to_bench_is_not(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "full", dtype="F32")
    check_checkpoint(source)
    with pytest.raises(PackError, match=r"embed\.weight: F32"):
        check_base(source)


def test_a_chat_template_of_its_own_travels_and_comes_before_the_tokenizers(source: Path, tmp_path: Path) -> None:
    config = json.loads((source / "tokenizer_config.json").read_text("utf-8"))
    named = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "of several"}]
    for template, wanted in ((None, None), ("", None), ("of the tokenizer", "of the tokenizer"), (named, "of several")):
        (source / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": template}), "utf-8")
        assert chat_template_of(source) == wanted
    (source / "chat_template.jinja").write_text("its own file", "utf-8")
    stage_checkpoint(source, tmp_path / "staged")
    assert chat_template_of(tmp_path / "staged") == "its own file"
