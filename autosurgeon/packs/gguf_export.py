"""Export of a pack as one GGUF file for llama.cpp: streamed, atomic, and without a tensor library.

Matrices keep their BF16 bytes. Norms and biases are widened to FP32, as llama.cpp needs them, which is exact, so that
both runtimes compute with the same weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from autosurgeon.core.pack import WEIGHTS_FILE
from autosurgeon.core.ports import Beat, no_beat
from autosurgeon.core.tensorfile import Header, Tensor, read_header
from autosurgeon.errors import PackError, UserError
from autosurgeon.packs.files import flush, hash_file, move, part_of
from autosurgeon.packs.gguf_tensors import Placed, Shape, place_tensors, read_shape
from autosurgeon.packs.gguf_vocabulary import Vocabulary, read_vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIGEST_KEY = "autosurgeon.pack"
"""The key of the pack's digest in the file's metadata."""
Dtype = Literal["bf16", "f32"]


class Written(NamedTuple):
    """The file that was written."""

    sha256: str
    bytes: int


def export_gguf(folder: Path, digest: str, out: Path, dtype: Dtype = "bf16", beat: Beat = no_beat) -> Written:
    """Write a verified pack's folder to `out`; memory stays below a few times the largest tensor.

    Raises:
        PackError: llama.cpp would run the architecture, a tensor or the tokenizer differently.
        UserError: the `gguf` package is not installed.
        DurabilityError: the file could not be flushed to disk.

    """
    gguf = _library()
    shape, weights = read_shape(folder), folder / WEIGHTS_FILE
    vocabulary, header = read_vocabulary(folder, shape.vocabulary), read_header(weights)
    placed = place_tensors(shape, header, weights)
    part = part_of(out)
    writer = gguf.GGUFWriter(None, shape.architecture)
    try:
        _add_model(writer, shape, digest, dtype, gguf)
        _add_vocabulary(writer, vocabulary)
        _stream(writer, placed, header, weights, part, dtype, beat)
        writer.close()
        flush(part)
        written = Written(hash_file(part, beat), part.stat().st_size)
        move(part, out)
    except BaseException:
        writer.close()
        part.unlink(missing_ok=True)
        raise
    return written


def _library() -> Any:
    try:
        import gguf
    except ImportError as error:
        wanted = "pip install 'autosurgeon[gguf]'"
        raise UserError("a GGUF export needs the gguf package, which is not installed", wanted=wanted) from error
    return gguf


def _add_model(writer: Any, shape: Shape, digest: str, dtype: Dtype, gguf: Any) -> None:
    writer.add_name(f"pack {digest[:12]}")
    writer.add_string(DIGEST_KEY, digest)
    kinds = gguf.LlamaFileType
    writer.add_file_type(kinds.MOSTLY_BF16 if dtype == "bf16" else kinds.ALL_F32)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.intermediate)
    writer.add_block_count(shape.layers)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    writer.add_rope_dimension_count(shape.head)
    writer.add_rope_freq_base(shape.theta)
    writer.add_layer_norm_rms_eps(shape.epsilon)


def _add_vocabulary(writer: Any, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model("gpt2")  # llama.cpp's name for byte-level BPE
    writer.add_tokenizer_pre(vocabulary.splitter)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    adders = (writer.add_eos_token_id, writer.add_eot_token_id, writer.add_eom_token_id)
    for add, token in zip(adders, vocabulary.ends, strict=False):
        add(token)
    if vocabulary.begin is not None:
        writer.add_bos_token_id(vocabulary.begin)
    if vocabulary.padding is not None:
        writer.add_pad_token_id(vocabulary.padding)
    writer.add_add_bos_token(vocabulary.adds_begin)
    writer.add_add_eos_token(False)
    if vocabulary.chat_template is not None:
        writer.add_chat_template(vocabulary.chat_template)


def _stream(
    writer: Any, placed: list[Placed], header: Header, weights: Path, part: Path, dtype: Dtype, beat: Beat
) -> None:
    import numpy
    from gguf import GGMLQuantizationType as Kind

    wide = [dtype == "f32" or len(tensor.shape) == 1 for tensor in placed]
    sources = {tensor.name: tensor for tensor in header.tensors}
    for tensor, widened in zip(placed, wide, strict=True):
        size = (sources[tensor.source].end - sources[tensor.source].start) * (2 if widened else 1)
        kind, number = (Kind.F32, numpy.float32) if widened else (Kind.BF16, numpy.uint16)
        writer.add_tensor_info(tensor.name, tensor.shape, numpy.dtype(number), size, raw_dtype=kind)
    writer.write_header_to_file(part)
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    with weights.open("rb") as file:
        for tensor, widened in zip(placed, wide, strict=True):
            bits = _read(file, header.data_start, sources[tensor.source])
            bits = interleaved(bits, tensor.heads) if tensor.heads else bits
            try:
                writer.write_tensor_data(_widened(bits) if widened else bits)
            except OSError as error:
                # NumPy reports how much it could not write, but not why.
                raise PackError("a file could not be written to its end", got=error, where=part) from error
            beat()


def _read(file: Any, data_start: int, tensor: Tensor) -> NDArray[Any]:
    import numpy

    file.seek(data_start + tensor.start)
    count = (tensor.end - tensor.start) // 2
    bits: NDArray[Any] = numpy.fromfile(file, dtype="<u2", count=count)
    if bits.size != count:
        raise PackError("a weight file ended while it was read", got=tensor.name, where=file.name)
    return bits.reshape(tensor.shape)


def _widened(bits: NDArray[Any]) -> NDArray[Any]:
    """Convert BF16 to FP32: the same bits, followed by sixteen zeros."""
    wide = bits.astype("<u4")
    wide <<= 16
    return wide.view("<f4")


def interleaved(rows: NDArray[Any], heads: int) -> NDArray[Any]:
    """Return the rows of each head with its halves interleaved: 0, n/2, 1, n/2 + 1, ...

    For Llama, llama.cpp rotates neighbouring rows by one angle, and transformers rows half a head apart.
    """
    import numpy

    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return numpy.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows.shape))
