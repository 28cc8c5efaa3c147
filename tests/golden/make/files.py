"""Safetensors and GGUF files, as far as the reference models need them."""
import glob
import json
import os
import struct

import numpy as np


def to_bf16(x):
    """Rounded to nearest, ties to even; uint16."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def rounded(x):
    """The bfloat16 nearest to each number, as float32."""
    return from_bf16(to_bf16(x))


def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    (size,) = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        raw = data[8 + size + begin : 8 + size + end]
        if entry["dtype"] == "BF16":
            numbers = from_bf16(np.frombuffer(raw, "<u2"))
        else:
            numbers = np.frombuffer(raw, {"F32": "<f4", "I64": "<i8"}[entry["dtype"]])
        tensors[name] = numbers.reshape(entry["shape"])
    return tensors


def read_model(folder):
    weights = {}
    for path in sorted(glob.glob(os.path.join(folder, "model*.safetensors"))):
        weights.update(read_safetensors(path))
    return weights


def write_safetensors(path, tensors):
    """tensors: name to (dtype, array); BF16 arrays hold numbers that bfloat16 can."""
    header, chunks, offset = {}, [], 0
    for name, (dtype, array) in sorted(tensors.items()):
        array = np.ascontiguousarray(array)
        raw = {"BF16": to_bf16, "F32": np.float32, "I64": np.int64}[dtype](array).tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [offset, offset + len(raw)]}
        chunks.append(raw)
        offset += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(chunks))


def gguf_string(text):
    return struct.pack("<Q", len(text)) + text.encode()


def gguf_value(value):
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + gguf_string(value)
    return struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)


def write_gguf(path, metadata, tensors):
    """tensors: name to array. Matrices become BF16; vectors, routers and convolutions F32, as
    llama.cpp's converter has it."""
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, value in metadata.items():
        out += gguf_string(key) + gguf_value(value)
    chunks, offset = [], 0
    for name, array in tensors.items():
        array = np.ascontiguousarray(array, np.float32)
        whole = array.ndim < 2 or "ffn_gate_inp" in name or "conv1d" in name
        assert whole or np.array_equal(rounded(array), array), name
        raw = array.tobytes() if whole else to_bf16(array).tobytes()
        out += gguf_string(name) + struct.pack("<I", array.ndim)
        out += struct.pack(f"<{array.ndim}Q", *reversed(array.shape))
        out += struct.pack("<IQ", 0 if whole else 30, offset)
        raw += bytes(-len(raw) % 32)
        chunks.append(raw)
        offset += len(raw)
    out += bytes(-len(out) % 32)
    with open(path, "wb") as file:
        file.write(out + b"".join(chunks))
