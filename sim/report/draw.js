// Drawing: everything between two times, and what the pointer can hit. Called once a frame.
const ARROWS_MAX = 500;
const TONES = ["ok", "info", "fail"];

function draw() {
  const from = seenFrom(), to = seenTo();
  view.hits = [];
  pen.clearRect(0, 0, view.width, view.height);
  pen.save();
  pen.translate(-scroll.scrollLeft, 0);
  view.shownMessages = 0;
  drawTime(from, to);
  const lanes = view.lanes.filter((lane) => lane.group === "member");
  const boxes = lanes.map((lane) => drawMember(lane, from, to));
  const inView = drawMessages(from, to);
  lanes.forEach((lane, n) => drawWords(lane, boxes[n], from, to));
  drawTraffic(from, to);
  let operations = 0;
  for (const lane of view.lanes) {
    if (lane.group === "client") operations += drawClient(lane, from, to);
    if (lane.group === "watcher") drawWatcher(lane, from, to);
  }
  drawErrors(from, to);
  drawHead();
  pen.restore();
  drawGutter(from, to);
  drawOverview(from, to);
  const note = inView > view.shownMessages ? " (zoom in to see them)" : "";
  byId("window").textContent = `${seconds(from, 3)} – ${seconds(Math.min(to, S.end), 3)} s · ` +
    `${operations} operations` + (S.messages.sent.length
      ? ` · ${view.shownMessages} of ${inView} messages drawn${note}` : "");
}

function text(words, x, y, size = 11, colour = "faint", room = 1e9, weight = "") {
  pen.font = `${weight} ${size}px ${FONT}`;
  pen.fillStyle = colours[colour] ?? colour;
  let cut = words;
  while (cut.length > 1 && pen.measureText(cut).width > room) cut = cut.slice(0, -1);
  if (cut.length < words.length) cut = cut.length > 2 ? cut.slice(0, -1) + "…" : "";
  pen.fillText(cut, x, y);
}
const hit = (x, y, w, h, kind, item) => view.hits.push({ x, y, w, h, kind, item });
function line(x1, y1, x2, y2, colour, width = 1, dash = []) {
  pen.strokeStyle = colours[colour] ?? colour;
  pen.lineWidth = width;
  pen.setLineDash(dash);
  pen.beginPath(); pen.moveTo(x1, y1); pen.lineTo(x2, y2); pen.stroke();
  pen.setLineDash([]);
}

const STEPS = [1, 2, 5].flatMap((n) => [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7].map((p) => n * p))
  .sort((a, b) => a - b);
function ticks(from, to) {
  const step = STEPS.find((s) => s * view.scale >= 46) ?? STEPS.at(-1), times = [];
  for (let t = Math.ceil(from / step) * step; t <= Math.min(to, S.end); t += step) times.push(t);
  return { times, digits: Math.max(0, Math.min(6, Math.ceil(6 - Math.log10(step)))) };
}
function drawTime(from, to) {
  for (const t of ticks(from, to).times) line(GUTTER - 14, yAt(t), view.total, yAt(t), "line", 0.5);
}

// Stays at the left when the board is scrolled sideways: times, the errors, faults of everybody.
function drawGutter(from, to) {
  pen.fillStyle = colours.paper;
  pen.fillRect(0, HEAD, GUTTER - 14, view.height);
  const { times, digits } = ticks(from, to);
  pen.textAlign = "right";
  for (const t of times) text(seconds(t, digits), GUTTER - 18, yAt(t) + 4, 11);
  const say = (words, y, colour, weight) => {
    pen.fillStyle = colours.paper;
    pen.fillRect(0, y - 13, GUTTER - 15, 24);
    text(words, GUTTER - 18, y + 4, 11, colour, 60, weight);
  };
  if (S.healed !== null && S.healed >= from && S.healed <= to) say("healed", yAt(S.healed), "accent");
  for (const v of S.verdicts)
    if (v.time >= from && v.time <= to) say("✖ error", yAt(v.time), "error", "bold");
  pen.textAlign = "left";
  pen.fillStyle = colours.panel;
  pen.fillRect(0, 0, GUTTER - 14, HEAD - 1);
  text("seconds", 14, 31, 11);
  let slot = 0;
  for (const f of faults) {
    if (f.members.length || f.to < from || f.from > to) continue;
    const x = GUTTER - 13 + 6 * (slot++ % 2), y = Math.max(yAt(f.from), HEAD);
    pen.fillStyle = colours["f-" + f.group];
    pen.fillRect(x, y, 5, Math.max(yAt(f.to) - y, 2));
    hit(x - 2 + scroll.scrollLeft, y - 1, 9, Math.max(yAt(f.to) - y, 4), "fault", f);
  }
}

function hatch(x, y, w, h, colour, gap = 7) {
  pen.save();
  pen.beginPath(); pen.rect(x, y, w, h); pen.clip();
  const first = Math.floor((y + scroll.scrollTop) / gap) * gap - scroll.scrollTop;
  for (let at = first - w; at < y + h; at += gap) line(x, at, x + w, at + w, colour, 1);
  pen.restore();
}

function drawMember(lane, from, to) {
  const member = S.members[lane.n], middle = lane.x + lane.w * 0.36;
  const boxes = [];
  for (const [begin, end, role, term] of member.states) {
    if (end < from || begin > to) continue;
    const y = Math.max(yAt(begin), HEAD), bottom = Math.min(yAt(end), view.height), h = bottom - y;
    pen.fillStyle = role === 2 ? colours.panel : colours["term" + (term % 6)];
    pen.fillRect(lane.x + 1, y, lane.w - 2, Math.max(h, 0.5));
    if (role === 2) hatch(lane.x + 1, y, lane.w - 2, h, "down");
    else line(middle, y, middle, bottom, role === 1 ? "lead" : "role", role === 1 ? 6 : 1.5);
    hit(lane.x, y, lane.w, h, "state", { lane, begin, end, role, term });
    if (h > 15) boxes.push({ y: y + 11, begin, role, term });
  }
  drawBands(lane, member.number, from, to);
  return boxes;
}

function drawWords(lane, boxes, from, to) {
  const middle = lane.x + lane.w * 0.36, room = lane.x + lane.w - middle - 9;
  for (const box of boxes) {
    if (box.role === 2) {
      plate("down", lane.x + lane.w / 2 - 15, box.y, 11, "panel", 40, "bold");
      continue;
    }
    const label = (box.term ? `t${box.term}` : "up") + (box.role === 1 ? " leader" : "");
    plate(label, middle + 7, box.y, 11, "term" + (box.term % 6), room, box.role === 1 ? "bold" : "");
  }
  drawNumbers(lane, middle, from, to, boxes);
  for (const [time, kind, words] of S.members[lane.n].marks) {
    if (time < from || time > to || time >= S.end) continue;
    const glyph = { crash: "✖", death: "✖", start: "▲", snapshot: "■", install: "⇩" }[kind];
    const y = Math.max(yAt(time), HEAD + 8);
    text(glyph, middle - 6, y + 5, 13, kind === "crash" || kind === "death" ? "error" : "accent", 20, "bold");
    hit(middle - 9, y - 7, 18, 14, "line", { time, words });
  }
}
// Words on a plate of the ground's colour, so that no arrow runs through them.
function plate(words, x, y, size, ground, room, weight = "", colour = "ink") {
  pen.font = `${weight} ${size}px ${FONT}`;
  pen.fillStyle = colours[ground];
  pen.fillRect(x - 2, y - size + 0.5, Math.min(pen.measureText(words).width, room) + 4, size + 2.5);
  text(words, x, y, size, colour, room, weight);
}

function drawBands(lane, number, from, to) {
  const ends = [];
  let below = 0;
  for (const f of faults) {
    if (!f.members.includes(number)) continue;
    let slot = ends.findIndex((end) => end <= f.from);
    if (slot < 0) slot = ends.length;
    ends[slot] = f.to;
    if (f.to < from || f.from > to) continue;
    const x = lane.x + 2 + 6 * (slot % 4), y = Math.max(yAt(f.from), HEAD);
    const h = Math.max(Math.min(yAt(f.to), view.height) - y, 3);
    pen.fillStyle = colours["f-" + f.group];
    pen.fillRect(x, y, 5, h);
    hit(x - 1, y - 1, 7, h + 2, "fault", f);
    const room = Math.min(h, 130) - 8, free = y + 4 >= below;
    if (free && room > 40) {
      pen.save();
      pen.translate(lane.x + 2 + 6 * Math.min(ends.length, 4) + 1, y + 4);
      pen.rotate(Math.PI / 2);
      text(f.what.replaceAll("_", " "), 0, 0, 10, "ink", room);
      below = y + 8 + Math.min(pen.measureText(f.what).width, room);
      pen.restore();
    }
  }
}

function drawNumbers(lane, middle, from, to, boxes) {
  const [times, commit, applied, rev] = S.samples[lane.n] ?? [[], [], [], []];
  const room = lane.x + lane.w - middle - 9, wide = lane.w > 125;
  const gap = wide ? 15 : 27;
  let last = HEAD;
  for (let n = first(times, from); n < times.length && times[n] <= to; n++) {
    const y = yAt(times[n]);
    if (y - last < gap || boxes.some((b) => y > b.y - 14 && y < b.y + 12)) continue;
    const state = boxes.findLast((b) => b.begin <= times[n]) ?? { term: 0 };
    const ground = "term" + (state.term % 6), lag = commit[n] > applied[n];
    const words = `c${commit[n]}` + (lag ? ` a${applied[n]}` : "");
    plate(words + (wide ? `  r${rev[n]}` : ""), middle + 8, y + 4, 10, ground, room, lag ? "bold" : "");
    if (!wide) plate(`r${rev[n]}`, middle + 8, y + 15, 10, ground, room, "", "faint");
    pen.fillStyle = colours.ink;
    pen.fillRect(middle - 3, y - 1, 8, 2);
    hit(middle - 3, y - 7, room + 10, gap - 2, "sample",
      { time: times[n], commit: commit[n], applied: applied[n], rev: rev[n], lane });
    last = y;
  }
}
function first(times, from) {
  let low = 0, high = times.length;
  while (low < high) { const mid = (low + high) >> 1; if (times[mid] < from) low = mid + 1; else high = mid; }
  return low;
}

// Arrows only where they can be told apart: not so many, and long enough to lean or stand alone.
function drawMessages(from, to) {
  const m = S.messages, seen = [];
  for (let n = first(m.sent, from - 3e6); n < m.sent.length && m.sent[n] <= to; n++)
    if (m.sent[n] + (m.took[n] ?? 0) >= from) seen.push(n);
  const few = seen.length <= ARROWS_MAX;
  let label = -1e9;
  for (const n of seen) {
    const lost = m.took[n] === null;
    if (!few && !lost && m.took[n] * view.scale < 40) continue;
    const a = laneOf("member", m.from[n]), b = laneOf("member", m.to[n]);
    let x1 = a.x + a.w * 0.36, x2 = b.x + b.w * 0.36, y1 = yAt(m.sent[n]);
    let y2 = yAt(m.sent[n] + (m.took[n] ?? 0));
    const side = Math.sign(x2 - x1) * 5, tone = lost ? "drop" : "message";
    x1 += side; x2 -= side;
    if (lost && !few) { line(x1, y1, x1 + side * 2, y1, "drop", 1); continue; }
    view.shownMessages++;
    if (lost) { x2 = x1 + (x2 - x1) * 0.45; y2 = y1 + Math.min(12, 2000 * view.scale); }
    const what = m.names[m.what[n]];
    pen.globalAlpha = what === "heartbeat" && !lost ? 0.5 : 1;
    line(x1, y1, x2, y2, tone, lost ? 1.4 : 1, lost ? [3, 2] : []);
    const angle = Math.atan2(y2 - y1, x2 - x1);
    if (lost) text("✕", x2 - 4, y2 + 4, 11, "drop", 20, "bold");
    else head(x2, y2, angle, tone);
    view.hits.push({ kind: "message", item: n, x1, y1, x2, y2 });
    pen.globalAlpha = 1;
    if (few && what !== "heartbeat" && Math.abs(y1 - label) > 12) {
      label = y1;
      pen.save();
      pen.translate(x1 + side * 1.4, y1 + (y2 - y1) * 0.05);
      pen.rotate(side < 0 ? angle + Math.PI : angle);
      pen.textAlign = side < 0 ? "right" : "left";
      text(what, 0, -3, 9.5, tone, roomOf(a));
      pen.restore();
    }
  }
  return seen.length;
}
const roomOf = (lane) => lane.w * 0.6;
function head(x, y, angle, colour) {
  pen.fillStyle = colours[colour];
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(x - 7 * Math.cos(angle - 0.4), y - 7 * Math.sin(angle - 0.4));
  pen.lineTo(x - 7 * Math.cos(angle + 0.4), y - 7 * Math.sin(angle + 0.4));
  pen.fill();
}

function drawTraffic(from, to) {
  if (!view.traffic.w) return;
  const [width, counts] = S.messages.traffic, most = Math.max(...counts);
  pen.fillStyle = colours.message;
  pen.globalAlpha = 0.45;
  for (let n = Math.max(0, Math.floor(from / width)); n < counts.length && n * width <= to; n++)
    pen.fillRect(view.traffic.x, yAt(n * width), (counts[n] / most) * (view.traffic.w - 6),
      Math.max(width * view.scale - 0.3, 0.7));
  pen.globalAlpha = 1;
}

function drawClient(lane, from, to) {
  let count = 0;
  line(lane.x + lane.w / 2, HEAD, lane.x + lane.w / 2, view.height, "line", 0.5);
  for (const c of callLanes[lane.n]) {
    const over = c.to ?? Math.min(c.next, c.from + Math.max(60 / view.scale, 5e5));
    if (c.from > to) break;
    if (over < from) continue;
    count++;
    const y = yAt(c.from), bottom = yAt(over), high = bottom - y;
    const h = high > 4 ? high - 1 : Math.max(high, 2.5), tone = TONES[c.outcome];
    const x = lane.x + 2, w = lane.w - 4, bad = badge.get("call " + c.number);
    pen.fillStyle = colours[tone];
    if (c.outcome === 1) {
      const fade = pen.createLinearGradient(0, y, 0, y + h);
      fade.addColorStop(0, colours.info);
      fade.addColorStop(0.35, colours.info);
      fade.addColorStop(1, colours.paper);
      pen.fillStyle = h > 8 ? fade : colours.info;
    }
    pen.fillRect(x, y, w, h);
    if (c.outcome === 1 && h > 8) { line(x, y, x, y + h, "info", 1.5, [4, 3]); line(x + w, y, x + w, y + h, "info", 1.5, [4, 3]); }
    if (c.outcome === 2 && h > 5) hatch(x, y, w, h, "fail-ink", 6);
    const top = Math.max(y, HEAD);
    const told = c.rev === null ? "" : `→ r${c.rev}`, ink = tone + "-ink";
    const lines = rowsOf(c.brief, told, Math.floor((bottom - top - 1) / 12), w - 8);
    lines.forEach((words, n) => text(words, x + 4, top + 11 + 12 * n, 10.5, ink, w - 8));
    if (c.point !== null) point(x + w - 5, yAt(c.point), h > 5);
    const marked = bad !== undefined;
    if (marked || pinnedIs("call", c)) frame(x, y, w, h, marked ? "error" : "accent", bad ? 3 : 2);
    if (bad) number(x + w - 2, Math.max(y, HEAD + 4), bad);
    hit(x, y - 1, w, h + 2, "call", c);
  }
  return count;
}
// What of an operation fits into so many rows of a width: its revision last, its key before its verb.
function rowsOf(brief, told, count, room) {
  if (count < 1) return [];
  pen.font = `10.5px ${FONT}`;
  const fits = (words) => pen.measureText(words).width <= room - 8;
  const key = brief.slice(brief.lastIndexOf(" ") + 1), verb = brief.slice(0, -key.length - 1);
  if (count === 1) return [[`${brief} ${told}`, brief, key].find(fits) ?? key];
  if (fits(brief)) return [brief, told];
  return count === 2 ? [key, told] : [verb, key, told];
}
function point(x, y, large) {
  if (!large) return;
  pen.fillStyle = colours.paper; pen.strokeStyle = colours.ink; pen.lineWidth = 1.3;
  pen.beginPath(); pen.arc(x, y, 3.2, 0, 7); pen.fill(); pen.stroke();
}
function frame(x, y, w, h, colour, wide) {
  pen.strokeStyle = colours[colour]; pen.lineWidth = wide;
  pen.strokeRect(x - 1.5, y - 1.5, w + 3, h + 3);
}
function number(x, y, n) {
  pen.fillStyle = colours.error;
  pen.beginPath(); pen.arc(x, y, 8, 0, 7); pen.fill();
  pen.textAlign = "center";
  text(String(n), x, y + 4, 11, "paper", 20, "bold");
  pen.textAlign = "left";
}
const pinnedIs = (kind, item) => view.pinned && view.pinned.kind === kind && view.pinned.item === item;

function drawWatcher(lane, from, to) {
  const middle = lane.x + 10, room = lane.w - 22;
  let last = -1e9;
  for (const w of watchLanes[lane.n]) {
    if (w.to < from || w.from > to) continue;
    const y = Math.max(yAt(w.from), HEAD), bottom = Math.min(yAt(w.to), view.height);
    const bad = badge.get("watcher " + w.number);
    line(middle, y, middle, bottom, bad !== undefined ? "error" : "role", bad ? 4 : 2);
    hit(lane.x, y, lane.w, bottom - y, "watcher", w);
    if (yAt(w.from) >= HEAD) line(middle - 7, y, middle + 7, y, "role", 2);
    for (const s of w.seen) {
      if (s.time < from || s.time > to) continue;
      const sy = yAt(s.time);
      seenMark(middle, sy, s.kind);
      hit(middle - 7, sy - 5, lane.w - 6, 10, "seen", { watcher: w, seen: s });
      if (sy - last < 11) continue;
      last = sy;
      const words = { events: `${s.rev}` + (s.count > 1 ? ` ×${s.count}` : ""), created: `new ${s.rev}`,
        progress: `≤ ${s.rev}`, canceled: "ended", lost: "broken" }[s.kind];
      text(words, middle + 9, sy + 4, 10, s.kind === "events" ? "ink" : "faint", room);
    }
    if (bad) number(middle - 14, Math.max(yAt(badTime(w)), HEAD + 8), bad);
  }
}
const badTime = (w) => S.verdicts.find((v) => v.watchers.includes(w.number))?.time ?? w.from;
function seenMark(x, y, kind) {
  const strong = kind === "canceled" || kind === "lost";
  if (strong) { text("✖", x - 5, y + 5, 13, "drop", 20, "bold"); return; }
  pen.fillStyle = kind === "events" ? colours.ok : colours.paper;
  pen.strokeStyle = colours.ok; pen.lineWidth = 1.5;
  pen.beginPath();
  if (kind === "progress") { pen.moveTo(x, y - 4); pen.lineTo(x + 5, y); pen.lineTo(x, y + 4); pen.lineTo(x - 5, y); pen.closePath(); }
  else pen.arc(x, y, 3.4, 0, 7);
  pen.fill(); pen.stroke();
}

function drawErrors(from, to) {
  for (const v of S.verdicts)
    if (v.time >= from && v.time <= to)
      line(GUTTER - 14, yAt(v.time), view.total, yAt(v.time), "error", 1.5, [7, 4]);
  if (S.healed !== null && S.healed >= from && S.healed <= to)
    line(GUTTER - 14, yAt(S.healed), view.total, yAt(S.healed), "accent", 1, [2, 4]);
}

function drawHead() {
  pen.fillStyle = colours.panel;
  pen.fillRect(0, 0, Math.max(view.total, view.width), HEAD);
  line(0, HEAD - 0.5, Math.max(view.total, view.width), HEAD - 0.5, "line");
  const titles = { member: "members: term, role, c commit, a applied, r revision",
    client: "clients: one operation a box", watcher: "watchers: revisions seen" };
  for (const group of Object.keys(titles)) {
    const mine = view.lanes.filter((l) => l.group === group);
    if (!mine.length) continue;
    const next = view.lanes[view.lanes.indexOf(mine.at(-1)) + 1];
    text(titles[group], mine[0].x + 2, 14, 11, "faint", (next?.x ?? view.width) - mine[0].x - 4);
    for (const lane of mine) text(lane.title, lane.x + 4, 32, 12.5, "ink", lane.w - 6, "bold");
  }
  if (view.traffic.w) text("traffic", view.traffic.x - 2, 32, 9.5, "faint", view.traffic.w + 12);
}

function drawOverview(from, to) {
  const strip = byId("overview"), ratio = window.devicePixelRatio || 1, brush = strip.getContext("2d");
  const w = 64, h = strip.clientHeight;
  strip.width = w * ratio; strip.height = h * ratio;
  brush.setTransform(ratio, 0, 0, ratio, 0, 0);
  const at = (t) => (t / S.end) * h;
  for (const f of faults) {
    brush.fillStyle = colours["f-" + f.group];
    const slot = ["process", "partition", "disk", "clock", "message", "operations", "client"].indexOf(f.group);
    brush.fillRect(2 + 3 * (slot < 0 ? 7 : slot), at(f.from), 2.4, Math.max(at(f.to) - at(f.from), 1.5));
  }
  const cells = Math.ceil(h / 3), counts = Array.from({ length: cells }, () => [0, 0, 0]);
  for (const c of calls) counts[Math.min(cells - 1, Math.floor(at(c.from) / 3))][c.outcome]++;
  const most = Math.max(1, ...counts.map((c) => c[0] + c[1] + c[2]));
  counts.forEach((cell, n) => {
    let x = 28;
    cell.forEach((count, tone) => {
      const width = (count / most) * 34;
      brush.fillStyle = colours[TONES[tone]];
      brush.fillRect(x, n * 3, width, 2.4);
      x += width;
    });
  });
  for (const v of S.verdicts) {
    brush.fillStyle = colours.error;
    brush.fillRect(0, at(v.time) - 1.5, w, 3);
  }
  brush.strokeStyle = colours.ink; brush.lineWidth = 1.5;
  brush.strokeRect(0.75, at(from) + 0.75, w - 1.5, Math.max(at(Math.min(to, S.end)) - at(from) - 1.5, 4));
}
