"""Seeded damage: of any bytes, and of what has a structure. Each function takes a ``random.Random``."""

import io
import json
import random
import struct
import zipfile

INTERESTING = (0, 1, 2, *(2**bits + step for bits in (7, 8, 15, 16, 31, 32, 63, 64) for step in (-1, 0)))
SIZES = (1, 2, 4, 8)


def damaged(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    """Bytes after one to four kinds of damage; ``others`` are contents to take pieces from."""
    content = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        rng.choice(DAMAGE)(rng, content, others)
    return bytes(content)


def _part(rng, content):
    """The start and the end of a part, short or long."""
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + rng.choice((1, 4, 16, rng.randrange(len(content) + 1))))


def _flip(rng, content, others):
    for _ in range(rng.choice((1, 1, 8, 64))):
        if content:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _overwrite(rng, content, others):
    start, end = _part(rng, content)
    value = rng.choice((b"\0", b"\xff", None))
    content[start:end] = value * (end - start) if value else rng.randbytes(end - start)


def _cut(rng, content, others):
    del content[rng.randrange(len(content) + 1) :]


def _delete(rng, content, others):
    start, end = _part(rng, content)
    del content[start:end]


def _insert(rng, content, others):
    start = rng.randrange(len(content) + 1)
    content[start:start] = rng.randbytes(rng.choice((1, 4, 100)))


def _duplicate(rng, content, others):
    start, end = _part(rng, content)
    content[end:end] = content[start:end]


def _swap(rng, content, others):
    (a, b), (c, d) = sorted((_part(rng, content), _part(rng, content)))
    if b <= c:
        content[a:d] = content[c:d] + content[b:c] + content[a:b]


def _splice(rng, content, others):
    other = rng.choice(others)
    start, end = _part(rng, other)
    place = rng.randrange(len(content) + 1)
    content[place : place + rng.choice((0, end - start))] = other[start:end]


def _number(rng, content, others):
    """An integer at the edge of its type, at a place that is a multiple of its size."""
    size, order = rng.choice(SIZES), rng.choice(("little", "big"))
    if len(content) >= size:
        place = rng.randrange(len(content) // size) * size
        number = rng.choice([value for value in INTERESTING if value < 256**size])
        content[place : place + size] = number.to_bytes(size, order)


DAMAGE = (_flip, _overwrite, _cut, _delete, _insert, _duplicate, _swap, _splice, _number)

HEADER_WORDS = [
    "",
    "-1",
    "0",
    "True",
    "None",
    "((((",
    "}",
    "10**9",
    "999999999999999",
    "4611686018427387904",
    "1.5",
    "()",
]
DTYPES = ["<f8", ">f8", "<f2", "<f4", "<i8", "<u8", "<c16", "|b1", "|O", "<U0", "<U5", "|V0", "<M8[s]", "<q9", "|S3"]
NAMES = ["labels.npy", "pids", "../pids.npy", "feat.npy", "camids.npy", "\u00e9.npy"]


def damaged_npz(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    """An ``.npz`` in which a member, its header or its name is changed, with right checksums, or a field of the zip."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    change = rng.choice(("bytes", "header", "dtype", "name", "gone", "zip"))
    if change == "bytes":
        members[name] = damaged(rng, members[name], others)
    elif change in ("header", "dtype"):
        members[name] = _with_header(rng, members[name], change)
    elif change == "name":
        members[rng.choice(NAMES)] = members.pop(name)
    elif change == "gone":
        del members[name]
    stream = io.BytesIO()
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(stream, "w", method) as archive:
        for each, text in members.items():
            archive.writestr(each, text)
    return _with_zip_field(rng, stream.getvalue()) if change == "zip" else stream.getvalue()


def _with_header(rng, member, change):
    """A ``.npy`` with another word or dtype in its header, whose length stays right."""
    length = int.from_bytes(member[8:10], "little")
    header = member[10 : 10 + length].decode("latin-1").rstrip()
    words = [word for word in ("30", "6", "False", "shape", "descr", "(", ")", ",", "{") if word in header]
    if change == "header":
        header = header.replace(rng.choice(words), rng.choice(HEADER_WORDS), 1)
    else:
        before, _, rest = header.partition("'descr': '")
        header = before + "'descr': '" + rng.choice(DTYPES) + "'" + rest.partition("'")[2]
    header = header.encode("latin-1").ljust(length - 1) + b"\n"
    return member[:8] + len(header).to_bytes(2, "little") + header + member[10 + length :]


def _with_zip_field(rng, content):
    """Flags, compression or a size of a member changed in both of its heads."""
    content = bytearray(content)
    offset, size = rng.choice(((6, 2), (8, 2), (14, 4), (18, 4), (22, 4)))
    value = rng.choice([number for number in INTERESTING if number < 256**size]).to_bytes(size, "little")
    for marker, shift in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
        place = content.find(marker)
        if place >= 0:
            content[place + offset + shift : place + offset + shift + size] = value
    return bytes(content)


JSON_VALUES = (
    *(None, True, -1, 0, 1e308, 10**400, 2**63, float("nan"), float("inf"), "", "x" * 999, "\ud800"),
    *([], {}, [{}], {"": []}),
)


def damaged_json(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    """JSON in which one to three entries, at any depth, are removed, renamed or of another type; or damaged bytes."""
    if rng.random() < 0.2:
        return damaged(rng, content, others)
    tree = json.loads(content)
    for _ in range(rng.choice((1, 1, 1, 3))):
        tree = _changed(rng, tree)
    return json.dumps(tree).encode()


def _changed(rng, tree):
    """The tree with one change, at the root or in a branch."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    if not keys or rng.random() < 0.02:
        return rng.choice(JSON_VALUES)
    key = rng.choice(keys)
    change = rng.random()
    if change < 0.2:
        del tree[key]
    elif change < 0.3 and isinstance(tree, dict):
        tree[key + rng.choice((" ", "x", "\0"))] = tree.pop(key)
    else:
        tree[key] = _changed(rng, tree[key]) if change < 0.7 else rng.choice(JSON_VALUES)
    return tree


CELLS = (
    *("", "-1", "0", "00", "1.5", "nan", "1e9", "9" * 30, "9" * 5000, "x" * 300, "\u0663", "\u00b2", "a\0b", '"'),
    *("../1.jpg", "/", "C:\\1.jpg", "door\\1.jpg", "d" * 300 + ".jpg", "door/./1.jpg", "door", ".jpg", "\0.jpg"),
    *("train", "all", "Query", "\u2028", "#", "=1+1"),
)


def damaged_csv(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    """A table with one to three changed cells, rows or columns; or damaged bytes."""
    if rng.random() < 0.3:
        return damaged(rng, content, others)
    rows = [line.split(",") for line in content.decode().split("\n")]
    for _ in range(rng.choice((1, 1, 3))):
        row = rng.choice(rows)
        change = rng.randrange(5)
        if change <= 1 and row:
            row[rng.randrange(len(row))] = rng.choice(CELLS)
        elif change == 2:
            row.insert(rng.randrange(len(row) + 1), rng.choice(CELLS))
        elif change == 3 and row:
            row.pop(rng.randrange(len(row)))
        else:
            rows.append(rng.choice(rows))
    return "\n".join(",".join(row) for row in rows).encode()


ORIENTATION = 0x0112
TAGS = [0x0100, 0x0103, 0x010F, 0x011A, 0x0128, 0x0131, 0x0132, 0x8769, 0x8825, 0xA005, 0x9286, 0x927C, ORIENTATION]


def odd_exif(rng: random.Random) -> bytes:
    """EXIF with an orientation, mostly a good one, and one to five other tags of odd types and counts."""
    order = rng.choice("<>")
    tags = [struct.pack(f"{order}HHIHH", ORIENTATION, 3, 1, rng.choice((1, 2, 3, 4, 5, 6, 7, 8, 0, 99)), 0)]
    for _ in range(rng.randint(1, 5)):
        kind, count = rng.choice((*range(14), 99)), rng.choice((0, 1, 1, 2, 4, 9, 2**31, 2**32 - 1))
        value = rng.choice((0, 8, 26, 2**31))
        tags.append(struct.pack(f"{order}HHII", rng.choice(TAGS), kind, count, value))
    rng.shuffle(tags)
    head = b"II*\0" if order == "<" else b"MM\0*"
    tail = struct.pack(f"{order}I", rng.choice((0, 0, 8, 2**31))) + rng.randbytes(20)
    content = b"Exif\0\0" + head + struct.pack(f"{order}IH", 8, len(tags)) + b"".join(tags) + tail
    return damaged(rng, content, [content]) if rng.random() < 0.3 else content
