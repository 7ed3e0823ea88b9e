"use strict";
// The view: which part of the run is seen, how time becomes height and lanes become width.
const S = JSON.parse(document.getElementById("scene").textContent);
const byId = (id) => document.getElementById(id);
const scroll = byId("scroll"), space = byId("space"), canvas = byId("picture");
const pen = canvas.getContext("2d");
const HEAD = 40, GUTTER = 76, GAP = 18, FONT = '"DejaVu Sans", system-ui, sans-serif';
const view = { scale: 1, width: 0, height: 0, shownMessages: 0, pinned: null, hits: [], lanes: [] };

const colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["paper", "panel", "ink", "faint", "line", "ok", "ok-ink", "info", "info-ink",
    "fail", "fail-ink", "error", "accent", "lead", "role", "message", "drop", "down", "term0",
    "term1", "term2", "term3", "term4", "term5", "f-message", "f-partition", "f-clock",
    "f-process", "f-disk", "f-operations", "f-client", "f-other"])
    colours[name] = style.getPropertyValue("--" + name).trim();
}

// Arrays of the scene by name, so that the drawing reads well.
const calls = S.calls.map((c) => ({ number: c[0], lane: c[1], process: c[2], member: c[3],
  from: c[4], to: c[5], outcome: c[6], point: c[7], rev: c[8], brief: c[9], asked: c[10],
  told: c[11] }));
const callOf = new Map(calls.map((c) => [c.number, c]));
const watchers = S.watchers.map((w) => ({ number: w[0], lane: w[1], process: w[2], member: w[3],
  from: w[4], to: w[5], wanted: w[6], responses: w[8],
  seen: w[7].map((s) => ({ time: s[0], kind: s[1], rev: s[2], count: s[3], text: s[4] })) }));
const faults = S.faults.map((f) => ({ from: f[0], to: f[1], what: f[2], group: f[3],
  members: f[4], detail: f[5] }));
const logOf = new Map(S.log.map((e) => [e[0], { index: e[1], term: e[2], rev: e[3] }]));
// What is in conflict: "call 7" -> its number in the verdict that is shown; 0 for other verdicts.
const badge = new Map();
function numberSides(verdict) {
  for (const v of S.verdicts) for (const side of v.sides) if (side) badge.set(side, 0);
  verdict.sides.forEach((side, n) => { if (side && !badge.get(side)) badge.set(side, n + 1); });
}
const byLane = (items) => {
  const lanes = [];
  for (const item of items) (lanes[item.lane] ??= []).push(item);
  return Array.from(lanes, (each) => (each ?? []).sort((a, b) => a.from - b.from));
};
const callLanes = byLane(calls), watchLanes = byLane(watchers);
callLanes.forEach((lane) => lane.forEach((c, n) => { c.next = lane[n + 1]?.from ?? S.end; }));

const seconds = (us, digits = 6) => (us / 1e6).toFixed(digits);
function span(us) {
  if (us < 1000) return us + " µs";
  return us < 1e6 ? +(us / 1000).toFixed(2) + " ms" : +(us / 1e6).toFixed(3) + " s";
}

// Width: members get most, then clients, then watchers; below their least width the board scrolls.
function layOut() {
  const counts = [S.members.length, callLanes.length, watchLanes.length];
  const least = [112, 60, 46], most = [170, 130, 110];
  const traffic = S.messages.traffic.length ? 34 : 0;
  const fixed = GUTTER + traffic + GAP * 3 + 12;
  const room = view.width - fixed;
  const wish = counts.reduce((sum, n, i) => sum + n * most[i], 0);
  const need = counts.reduce((sum, n, i) => sum + n * least[i], 0);
  const share = wish > need ? Math.min(1, Math.max(0, (room - need) / (wish - need))) : 0;
  const wide = least.map((w, i) => Math.floor(w + (most[i] - w) * share));
  view.lanes = [];
  let x = GUTTER;
  const add = (group, n, title, width) => {
    view.lanes.push({ group, n, title, x, w: width });
    x += width;
  };
  S.members.forEach((m, n) => add("member", n, "m" + m.number, wide[0]));
  view.traffic = { x: x + 4, w: traffic };
  x += traffic + GAP;
  callLanes.forEach((_, n) => add("client", n, "c" + n, wide[1]));
  x += GAP;
  watchLanes.forEach((_, n) => add("watcher", n, "w" + n, wide[2]));
  view.total = x + 12;
}
const laneOf = (group, n) => view.lanes.find((l) => l.group === group && l.n === n);

const bodyHeight = () => Math.max(view.height - HEAD, 50);
const leastScale = () => (bodyHeight() - 12) / S.end;
const timeAt = (y) => (y - HEAD + scroll.scrollTop) / view.scale;
const yAt = (t) => HEAD + t * view.scale - scroll.scrollTop;
const seenFrom = () => scroll.scrollTop / view.scale;
const seenTo = () => (scroll.scrollTop + bodyHeight()) / view.scale;

function zoomTo(scale, at, y) {
  // Time `at` stays at height `y` of the picture.
  view.scale = Math.min(Math.max(scale, leastScale()), 0.05);
  space.style.height = Math.ceil(S.end * view.scale + HEAD + 12) + "px";
  scroll.scrollTop = Math.max(0, HEAD + at * view.scale - y);
  redraw();
}
const zoomBy = (factor, y = HEAD + bodyHeight() / 2) => zoomTo(view.scale * factor, timeAt(y), y);
function show(from, to) {
  zoomTo(bodyHeight() / Math.max(to - from, 20), (from + to) / 2, HEAD + bodyHeight() / 2);
}
function goTo(time, part = 0.5) {
  scroll.scrollTop = Math.max(0, time * view.scale - bodyHeight() * part);
  redraw();
}
function resize() {
  const ratio = window.devicePixelRatio || 1, middle = timeAt(HEAD + bodyHeight() / 2);
  if (view.width === scroll.clientWidth && view.height === scroll.clientHeight) return;
  const whole = view.height && view.scale <= leastScale() * 1.001;
  view.width = scroll.clientWidth;
  view.height = scroll.clientHeight;
  layOut();
  space.style.width = Math.max(view.total, view.width) + "px";
  canvas.width = Math.round(view.width * ratio);
  canvas.height = Math.round(view.height * ratio);
  canvas.style.width = view.width + "px";
  canvas.style.height = view.height + "px";
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  if (whole) show(0, S.end); else zoomTo(view.scale, middle, HEAD + bodyHeight() / 2);
  draw(); // at once: a canvas that changes its size is empty
}
let waiting = false;
function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
}
