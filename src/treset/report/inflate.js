"use strict";
/* DEFLATE (RFC 1951) in a gzip wrapper (RFC 1952), for browsers without DecompressionStream. */
function gunzip(bytes) {
  let at = 10, bit = 0;
  const flags = bytes[3];
  if (flags & 4) at += 2 + bytes[at] + 256 * bytes[at + 1];
  for (const flag of [8, 16]) if (flags & flag) while (bytes[at++] !== 0);
  if (flags & 2) at += 2;
  const end = bytes.length;
  const size = new DataView(bytes.buffer, bytes.byteOffset + end - 4).getUint32(0, true);
  const out = new Uint8Array(size);
  let put = 0;
  const bits = n => {
    let value = 0;
    for (let i = 0; i < n; i++) {
      value |= (bytes[at] >> bit & 1) << i;
      if (++bit === 8) { bit = 0; at++; }
    }
    return value;
  };
  const tree = lengths => {
    const count = new Uint16Array(16), first = new Uint16Array(16), symbols = [];
    for (const l of lengths) count[l]++;
    count[0] = 0;
    for (let i = 1; i < 16; i++) first[i] = first[i - 1] + count[i - 1];
    const next = first.slice();
    lengths.forEach((l, s) => { if (l) symbols[next[l]++] = s; });
    return { count, symbols };
  };
  const decode = t => {
    let code = 0, first = 0, index = 0;
    for (let l = 1; l < 16; l++) {
      code |= bits(1);
      const n = t.count[l];
      if (code - n < first) return t.symbols[index + code - first];
      index += n; first = first + n << 1; code <<= 1;
    }
    throw new Error("the packed data are damaged");
  };
  const base = (step, from, n) => {
    const b = [], e = [];
    for (let i = 0, v = from; i < n; i++) { e[i] = Math.max(0, (i / step | 0) - 1); b[i] = v; v += 1 << e[i]; }
    return [b, e];
  };
  const [lengthBase, lengthExtra] = base(4, 3, 28), [distBase, distExtra] = base(2, 1, 30);
  lengthBase[28] = 258; lengthExtra[28] = 0;
  let last;
  do {
    last = bits(1);
    const kind = bits(2);
    if (kind === 0) {
      if (bit) { bit = 0; at++; }
      const n = bytes[at] + 256 * bytes[at + 1];
      at += 4;
      out.set(bytes.subarray(at, at + n), put);
      at += n; put += n;
      continue;
    }
    let literals, distances;
    if (kind === 1) {
      literals = tree(Array.from({ length: 288 }, (_, i) => i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8));
      distances = tree(new Array(30).fill(5));
    } else {
      const nl = bits(5) + 257, nd = bits(5) + 1, nc = bits(4) + 4, lengths = new Array(19).fill(0);
      [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15].slice(0, nc).forEach(i => { lengths[i] = bits(3); });
      const codes = tree(lengths), all = [];
      while (all.length < nl + nd) {
        const s = decode(codes);
        if (s < 16) { all.push(s); continue; }
        const value = s === 16 ? all[all.length - 1] : 0;
        const n = s === 16 ? 3 + bits(2) : s === 17 ? 3 + bits(3) : 11 + bits(7);
        for (let i = 0; i < n; i++) all.push(value);
      }
      literals = tree(all.slice(0, nl));
      distances = tree(all.slice(nl));
    }
    for (;;) {
      const s = decode(literals);
      if (s === 256) break;
      if (s < 256) { out[put++] = s; continue; }
      const n = lengthBase[s - 257] + bits(lengthExtra[s - 257]);
      const d = decode(distances), far = distBase[d] + bits(distExtra[d]);
      for (let i = 0; i < n; i++, put++) out[put] = out[put - far];
    }
  } while (!last);
  return out;
}

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  if (typeof DecompressionStream === "undefined") return gunzip(bytes);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
