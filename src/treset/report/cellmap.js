/* The cell map: one canvas, points written as pixels, so that 500,000 cells stay quick. */
async function cellMap(root) {
  const data = JSON.parse(document.getElementById("cellmap-data").textContent);
  const palette = JSON.parse(root.dataset.palette), ramp = JSON.parse(root.dataset.ramp), grey = "#c3cad1";
  const find = name => root.querySelector("." + name);
  const canvas = find("canvas"), colour = find("colour"), show = find("show"), legend = find("legend"), state = find("state");
  const bytes = await unpack(data.blob), n = data.n;
  const codes = (offset, size) => size === 1 ? bytes.subarray(offset, offset + n)
    : new Uint16Array(bytes.slice(offset, offset + 2 * n).buffer);
  /* places come as steps along a curve, low bytes then high bytes, the sign in the lowest bit */
  const walk = offset => {
    const out = new Uint16Array(n), scale = 65535 / (data.places - 1);
    for (let i = 0, at = 0; i < n; i++) {
      const step = bytes[offset + i] | bytes[offset + n + i] << 8;
      at += step & 1 ? -(step + 1 >> 1) : step >> 1;
      out[i] = at * scale;
    }
    return out;
  };
  const xs = walk(0), ys = walk(2 * n), every = data.every;
  const fields = data.fields.map(f => ({ ...f, codes: codes(f.offset, f.bytes) }));
  const sample = fields.find(f => f.key === "sample");
  for (const s of sample ? data.sheet : [])
    fields.push({ key: s.key, label: s.key, names: s.names, rest: -1, codes: Int16Array.from(sample.codes, c => s.of[c]) });
  /* a fixed stride visits every cell in an order that mixes the samples, so that none lies on top */
  const gcd = (a, b) => b ? gcd(b, a % b) : a;
  let stride = Math.floor(n * 0.618) || 1;
  while (gcd(stride, n) > 1) stride++;
  const order = new Uint32Array(n);
  for (let i = 0, at = 0; i < n; i++, at = (at + stride) % n) order[i] = at;

  const option = (select, value, text, group) => {
    const o = document.createElement("option");
    o.value = value; o.textContent = text;
    (group ?? select).append(o);
  };
  fields.forEach((f, i) => option(colour, "f" + i, f.label));
  if (data.markers.length) {
    const group = document.createElement("optgroup");
    group.label = "markers";
    colour.append(group);
    data.markers.forEach((m, i) => option(colour, "m" + i, m.name, group));
  }
  option(show, "", "all cells");
  fields.forEach((f, i) => {
    if (!["visit", "arm", "stimulus", "disease", "patient", "sample", "batch"].includes(f.key)) return;
    const group = document.createElement("optgroup");
    group.label = f.key;
    show.append(group);
    f.names.forEach((name, c) => option(show, i + ":" + c, name, group));
  });

  let view = { x: 0, y: 0, zoom: 1 }, hidden = new Set(), only = null;
  const rgb = hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
  const pixel = hex => { const [r, g, b] = rgb(hex); return (255 << 24 | b << 16 | g << 8 | r) >>> 0; };
  /* the rest (cells in no population) is grey; all others take the colours in order of size */
  const shade = (f, c) => {
    const place = f.rest >= 0 && c > f.rest ? c - 1 : c;
    return c >= 0 && c !== f.rest && place < palette.length ? palette[place] : grey;
  };

  function draw() {
    const ratio = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
    const w = canvas.width = Math.round(box.width * ratio), h = canvas.height = Math.round(box.height * ratio);
    if (!w || !h) return;
    const pen = canvas.getContext("2d"), image = pen.createImageData(w, h), out = new Uint32Array(image.data.buffer);
    const side = Math.min(w, h) - 24 * ratio, left = (w - side) / 2, top = (h - side) / 2, kx = side / 65535 * view.zoom;
    const ox = left + side / 2 - (32767 + view.x) * kx, oy = top + side / 2 + (32767 + view.y) * kx;
    const isMarker = colour.value[0] === "m", index = Number(colour.value.slice(1));
    const field = isMarker ? null : fields[index];
    const values = isMarker ? bytes.subarray(data.markers[index].offset, data.markers[index].offset + Math.ceil(n / every)) : field.codes;
    const table = isMarker ? ramp.map(pixel) : field.names.map((_, c) => pixel(only === null ? shade(field, c) : c === only ? "#c2410c" : "#dde2e7"));
    const [fi, fc] = show.value ? show.value.split(":").map(Number) : [-1, -1];
    const dot = Math.max(1, Math.round((n > 150000 ? 1 : n > 20000 ? 1.6 : 2.6) * ratio * Math.min(3, Math.sqrt(view.zoom))));
    let shown = 0;
    for (let pass = only === null ? 1 : 0; pass < 2; pass++) {
      for (let k = 0; k < n; k++) {
        const i = order[k];
        if (isMarker && i % every) continue;   // its markers are not in the file
        const v = isMarker ? values[i / every] : values[i];
        if (fi >= 0 && fields[fi].codes[i] !== fc) continue;
        if (field && (hidden.has(v) || v < 0)) continue;
        if (only !== null && (v === only) !== (pass === 1)) continue;
        shown++;
        const px = ox + xs[i] * kx | 0, py = oy - ys[i] * kx | 0;
        if (px < 0 || py < 0 || px + dot >= w || py + dot >= h) continue;
        const c = table[v];
        for (let a = 0; a < dot; a++) for (let b = 0; b < dot; b++) out[(py + a) * w + px + b] = c;
      }
    }
    pen.putImageData(image, 0, 0);
    if (field && field.names.length <= 60 && ["population", "cluster", "cluster_population"].includes(field.key)) {
      pen.font = `600 ${12 * ratio}px system-ui, sans-serif`;
      pen.textAlign = "center"; pen.textBaseline = "middle"; pen.lineJoin = "round";
      const centres = densest(field, fi, fc), taken = [];
      for (const { c, x, y } of centres) {
        const px = ox + x * kx, py = oy - y * kx, name = field.names[c].slice(0, 28), half = pen.measureText(name).width / 2;
        if (taken.some(t => Math.abs(t.py - py) < 14 * ratio && Math.abs(t.px - px) < half + t.half)) continue;
        taken.push({ px, py, half });
        pen.lineWidth = 3.5 * ratio; pen.strokeStyle = "rgba(255,255,255,.92)"; pen.fillStyle = "#1b2733";
        pen.strokeText(name, px, py); pen.fillText(name, px, py);
      }
    }
    state.textContent = shown.toLocaleString("en").replace(/,/g, " ") + " cells shown";
    canvas.setAttribute("aria-label", "Cell map coloured by " + colour.selectedOptions[0].textContent + ", " + state.textContent);
  }

  /* a name stands where its cells are densest: the middle of two islands may hold none of them */
  function densest(field, fi, fc) {
    const side = 20, grid = field.names.map(() => new Uint32Array(side * side)), count = new Uint32Array(field.names.length);
    const bin = i => Math.min(side - 1, xs[i] * side >> 16) * side + Math.min(side - 1, ys[i] * side >> 16);
    const use = i => {
      const c = field.codes[i];
      return c >= 0 && c !== field.rest && !hidden.has(c) && (fi < 0 || fields[fi].codes[i] === fc) ? c : -1;
    };
    for (let i = 0; i < n; i++) {
      const c = use(i);
      if (c >= 0) { grid[c][bin(i)]++; count[c]++; }
    }
    const best = grid.map(g => g.reduce((top, v, b) => v > g[top] ? b : top, 0));
    const sum = field.names.map(() => [0, 0, 0]);
    for (let i = 0; i < n; i++) {
      const c = use(i);
      if (c < 0 || bin(i) !== best[c]) continue;
      sum[c][0] += xs[i]; sum[c][1] += ys[i]; sum[c][2]++;
    }
    return sum.map(([x, y, m], c) => ({ c, count: count[c], x: x / m, y: y / m }))
      .filter(e => e.count > Math.max(3, n / 2000)).sort((p, q) => q.count - p.count);
  }

  function fill() {
    legend.replaceChildren();
    if (colour.value[0] === "m") {
      const m = data.markers[Number(colour.value.slice(1))], bar = document.createElement("div");
      bar.className = "ramp";
      ramp.forEach(c => { const s = document.createElement("span"); s.style.background = c; bar.append(s); });
      const ends = document.createElement("div");
      ends.className = "ends";
      for (const v of [m.low, m.high]) { const s = document.createElement("span"); s.textContent = v; ends.append(s); }
      const name = document.createElement("p");
      name.textContent = m.name + ": 1st to 99th percentile of the cells";
      legend.append(name, bar, ends);
      return;
    }
    const field = fields[Number(colour.value.slice(1))], count = new Uint32Array(field.names.length);
    let total = 0;
    for (let i = 0; i < n; i++) if (field.codes[i] >= 0) { count[field.codes[i]]++; total++; }
    field.names.forEach((name, c) => {
      const row = document.createElement("label"), tick = document.createElement("input");
      const spot = document.createElement("i"), word = document.createElement("span"), share = document.createElement("b");
      tick.type = "checkbox"; tick.checked = true;
      spot.style.background = shade(field, c);
      word.textContent = word.title = c === field.rest ? "in no population" : name;
      // a cell drawn from a dense region stands for more cells than one from a sparse region
      share.textContent = (field.shares ? field.shares[c] : 100 * count[c] / total).toFixed(1) + " %";
      tick.addEventListener("change", () => { tick.checked ? hidden.delete(c) : hidden.add(c); draw(); });
      row.addEventListener("mouseenter", () => { only = c; draw(); });
      row.addEventListener("mouseleave", () => { only = null; draw(); });
      row.append(tick, spot, word, share);
      legend.append(row);
    });
    if (field.names.length - (field.rest >= 0) > palette.length) {
      const note = document.createElement("p");
      note.textContent = `The ${palette.length} largest have a colour; point at any other name to light it up.`;
      legend.append(note);
    }
  }

  const redo = () => { hidden.clear(); only = null; fill(); draw(); };
  colour.addEventListener("change", redo);
  show.addEventListener("change", draw);
  find("reset").addEventListener("click", () => { view = { x: 0, y: 0, zoom: 1 }; show.value = ""; redo(); });
  canvas.addEventListener("wheel", event => {
    if (!event.ctrlKey && !canvas.matches(":focus")) return;   // the page scrolls unless the map was clicked
    event.preventDefault();
    const before = where(event), step = Math.exp(-event.deltaY * 0.0015);
    view.zoom = Math.min(60, Math.max(1, view.zoom * step));
    const after = where(event);
    view.x += before[0] - after[0]; view.y += before[1] - after[1];
    draw();
  }, { passive: false });
  const where = event => {
    const box = canvas.getBoundingClientRect(), scale = 65535 / (Math.min(box.width, box.height) - 24) / view.zoom;
    return [(event.clientX - box.left - box.width / 2) * scale + view.x, -(event.clientY - box.top - box.height / 2) * scale + view.y];
  };
  let grip = null;
  canvas.addEventListener("pointerdown", event => { grip = where(event); canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", event => {
    if (!grip) return;
    const now = where(event);
    view.x += grip[0] - now[0]; view.y += grip[1] - now[1];
    draw();
  });
  canvas.addEventListener("pointerup", () => { grip = null; });
  canvas.addEventListener("dblclick", () => { view = { x: 0, y: 0, zoom: 1 }; draw(); });
  canvas.addEventListener("keydown", event => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (move) { view.x += move[0] * 4000 / view.zoom; view.y += move[1] * 4000 / view.zoom; }
    else if (event.key === "+" || event.key === "=") view.zoom = Math.min(60, view.zoom * 1.3);
    else if (event.key === "-") view.zoom = Math.max(1, view.zoom / 1.3);
    else return;
    event.preventDefault();
    draw();
  });
  new ResizeObserver(draw).observe(canvas);
  redo();
  root.dataset.ready = "yes";
  performance.mark("treset-ready");
}
{
  const root = document.getElementById("cellmap");
  if (root) cellMap(root).catch(error => {
    root.querySelector(".state").textContent = "The cell map cannot be drawn in this browser: " + error.message;
  });
}
