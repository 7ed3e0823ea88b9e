// Pointer, keyboard, details: what a person does to the picture. Loaded last; it starts the page.
const ROLES = ["follower", "leader", "down"], RESULTS = ["ok", "unknown", "refused"];

function found(x, y) {
  const px = x + scroll.scrollLeft;
  let best = null, least = 6;
  for (const h of view.hits) {
    if (h.kind !== "message") continue;
    const far = distance(px, y, h);
    if (far < least) { least = far; best = h; }
  }
  const boxes = view.hits.filter((h) => h.kind !== "message" && px >= h.x && px <= h.x + h.w &&
    y >= h.y && y <= h.y + h.h);
  const top = boxes.at(-1);
  if (best && (!top || top.kind === "state")) return best;
  return top ?? best;
}
function distance(x, y, h) {
  const dx = h.x2 - h.x1, dy = h.y2 - h.y1, size = dx * dx + dy * dy || 1;
  const along = Math.max(0, Math.min(1, ((x - h.x1) * dx + (y - h.y1) * dy) / size));
  return Math.hypot(x - h.x1 - along * dx, y - h.y1 - along * dy);
}

// What there is to say of a thing: [title, lines, time, time of its end].
function told(kind, item) {
  switch (kind) {
    case "call": {
      const log = logOf.get(item.number), lines = [];
      const took = item.to === null ? "never answered" : `took ${span(item.to - item.from)}`;
      lines.push(`${RESULTS[item.outcome]}: ${item.told}`);
      lines.push(`asked at ${seconds(item.from)} s of m${item.member} by process ${item.process}, ${took}`);
      if (item.to !== null) lines.push(`answered at ${seconds(item.to)} s`);
      if (item.point !== null) lines.push(`took effect at ${seconds(item.point)} s` +
        (item.to !== null && item.point > item.to ? ", AFTER its answer" : ""));
      else if (S.log.length && badge.has("call " + item.number) && !item.outcome)
        lines.push("fits nowhere between its invocation and its answer");
      if (log) lines.push(`log index ${log.index}, term ${log.term}, revision ${log.rev} after it`);
      return [`operation ${item.number}: ${item.asked}`, lines, item.from, item.to ?? item.from];
    }
    case "watcher":
      return [`watcher ${item.number}: ${item.wanted}`,
        [`at m${item.member}, from ${seconds(item.from)} to ${seconds(item.to)} s, ` +
          `${item.responses} responses`], item.from, item.from];
    case "seen": {
      const { watcher, seen } = item;
      const lines = [`${seconds(seen.time)} s, revision ${seen.rev}` +
        (seen.count ? `, ${seen.count} event${seen.count > 1 ? "s" : ""}` : "")];
      if (seen.text) lines.push(seen.text);
      else if (seen.count) lines.push("(the events are left out of this file)");
      lines.push(`watcher ${watcher.number}: ${watcher.wanted}, at m${watcher.member}`);
      return [seen.kind, lines, seen.time, seen.time];
    }
    case "fault":
      return [`fault: ${item.what.replaceAll("_", " ")} (${item.group})`,
        [(item.members.length ? "on " + item.members.map((m) => "m" + m).join(", ") : "on everybody") +
          `, ${seconds(item.from)} to ${seconds(item.to)} s (${span(item.to - item.from)})`,
        ...(item.detail ? [item.detail] : [])], item.from, item.from];
    case "message": {
      const m = S.messages, n = item, took = m.took[n];
      const names = S.members.map((each) => each.number);
      const way = `${names[m.from[n]]}>${names[m.to[n]]}`;
      const end = took === null
        ? (m.why[n] !== undefined ? "dropped" + (m.why[n] ? ": " + m.why[n] : "") : "never arrived")
        : `arrived ${seconds(m.sent[n] + took)} s, after ${span(took)}`;
      return [`message ${m.id[n]}: ${m.names[m.what[n]]} m${way.replace(">", " → m")}`,
        [`${m.sent[n]} net send link=${way} id=${m.id[n]} bytes=${m.size[n]} what=${m.names[m.what[n]]}`,
          end], m.sent[n], m.sent[n] + (took ?? 0)];
    }
    case "sample":
      return [`m${S.members[item.lane.n].number} at ${seconds(item.time)} s`,
        [`commit ${item.commit}, applied ${item.applied}, revision ${item.rev}`], item.time, item.time];
    case "state":
      return [`m${S.members[item.lane.n].number}: ${ROLES[item.role]} in term ${item.term}`,
        [`${seconds(item.begin)} to ${seconds(item.end)} s`], item.begin, item.begin];
    default:
      return [item.words, [], item.time, item.time];
  }
}

const tip = byId("tip");
canvas.addEventListener("mousemove", (event) => {
  const box = canvas.getBoundingClientRect();
  const h = found(event.clientX - box.left, event.clientY - box.top);
  if (!h) { tip.style.display = "none"; return; }
  const [title, lines] = told(h.kind, h.item);
  tip.textContent = [title, ...lines].join("\n");
  tip.style.display = "block";
  tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)) + "px";
  const below = event.clientY + 16;
  tip.style.top = (below + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 10 : below) + "px";
});
canvas.addEventListener("mouseleave", () => { tip.style.display = "none"; });
canvas.addEventListener("click", (event) => {
  const box = canvas.getBoundingClientRect();
  const h = found(event.clientX - box.left, event.clientY - box.top);
  if (h) pin(h.kind, h.item);
});

function pin(kind, item) {
  view.pinned = { kind, item };
  const [title, lines, time, until] = told(kind, item), panel = byId("detail");
  panel.replaceChildren();
  const name = document.createElement("h3");
  name.textContent = title;
  panel.append(name);
  for (const words of lines) {
    const p = document.createElement("p");
    p.textContent = words;
    panel.append(p);
  }
  const trace = document.createElement("pre"), lower = first(S.lines.map((l) => l[0]), time);
  for (let n = Math.max(0, lower - 6); n < Math.min(S.lines.length, lower + 14); n++) {
    const during = S.lines[n][0] >= time && S.lines[n][0] <= until;
    const row = document.createElement(during ? "b" : "span");
    row.textContent = S.lines[n][1] + "\n";
    trace.append(row);
  }
  if (S.lines.length) {
    const title2 = document.createElement("p");
    title2.textContent = "trace of members around it (bold: while it was under way)";
    panel.append(title2, trace);
  }
  redraw();
}

function reveal(group, n) {
  const lane = laneOf(group, n);
  if (!lane) return;
  if (lane.x < scroll.scrollLeft + GUTTER) scroll.scrollLeft = lane.x - GUTTER;
  else if (lane.x + lane.w > scroll.scrollLeft + view.width)
    scroll.scrollLeft = lane.x + lane.w - view.width + 8;
}
function pinAndShow(kind, item) {
  const [, , time] = told(kind, item);
  if (kind === "call") reveal("client", item.lane);
  if (time < seenFrom() || time > seenTo()) goTo(time);
  pin(kind, item);
}
function jump(n, scrolls = true) {
  const v = S.verdicts[n];
  if (!v) return;
  numberSides(v);
  const times = [v.time, ...v.calls.flatMap((c) => {
    const call = callOf.get(c);
    return call ? [call.from, call.to ?? call.from] : [];
  })];
  const low = Math.min(...times), high = Math.max(...times);
  const near = high - low < 8e6 ? [low, high] : [v.time, v.time];
  const room = Math.max((near[1] - near[0]) * 0.35, 60_000);
  show(Math.max(0, near[0] - room), Math.min(S.end, near[1] + room));
  const call = callOf.get(v.calls.at(-1)), watcher = watchers.find((w) => w.number === v.watchers[0]);
  if (call) pin("call", call); else if (watcher) pin("watcher", watcher); else pin("line", {
    time: v.time, words: `${v.klass} at ${seconds(v.time)} s` });
  for (const each of v.calls) if (callOf.has(each)) reveal("client", callOf.get(each).lane);
  if (watcher) reveal("watcher", watcher.lane);
  if (scrolls) byId("board").scrollIntoView({ block: "nearest" });
  scroll.focus({ preventScroll: true });
}

// Left and right walk through the operations of a lane, up and down scroll as everywhere.
function walk(step, lanes) {
  if (!calls.length) return;
  let call = view.pinned?.kind === "call" ? view.pinned.item : null;
  if (!call) call = calls.reduce((a, b) =>
    Math.abs(b.from - seenFrom()) < Math.abs(a.from - seenFrom()) ? b : a);
  else if (lanes) {
    const next = callLanes[(call.lane + step + callLanes.length) % callLanes.length];
    call = next.reduce((a, b) => Math.abs(b.from - call.from) < Math.abs(a.from - call.from) ? b : a, next[0]);
  } else {
    const lane = callLanes[call.lane], place = lane.indexOf(call) + step;
    call = lane[Math.max(0, Math.min(lane.length - 1, place))];
  }
  pinAndShow("call", call);
}
const ZOOMS = { 1: null, 2: 1e7, 3: 1e6, 4: 1e5, 5: 1e4 };
function zoomLevel(key) {
  const middle = (seenFrom() + Math.min(seenTo(), S.end)) / 2, wide = ZOOMS[key];
  const at = view.pinned ? told(view.pinned.kind, view.pinned.item)[2] : middle;
  if (wide === null) show(0, S.end); else show(at - wide / 2, at + wide / 2);
}
function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const does = {
    "+": () => zoomBy(1.6), "=": () => zoomBy(1.6), "-": () => zoomBy(1 / 1.6),
    n: () => walk(1, false), p: () => walk(-1, false),
    ArrowRight: () => walk(1, true), ArrowLeft: () => walk(-1, true),
    e: () => jump(0), Escape: () => { view.pinned = null; redraw(); },
    1: () => zoomLevel(1), 2: () => zoomLevel(2), 3: () => zoomLevel(3), 4: () => zoomLevel(4),
    5: () => zoomLevel(5) }[event.key];
  if (does) { does(); event.preventDefault(); }
}
scroll.addEventListener("keydown", key);
scroll.addEventListener("scroll", redraw);
scroll.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  zoomBy(Math.exp(-event.deltaY / 300), event.clientY - canvas.getBoundingClientRect().top);
}, { passive: false });

const overview = byId("overview");
const travel = (event) => {
  if (event.buttons !== 1) return;
  const box = overview.getBoundingClientRect();
  goTo(((event.clientY - box.top) / box.height) * S.end);
};
overview.addEventListener("pointerdown", travel);
overview.addEventListener("pointermove", travel);
byId("latency")?.addEventListener("click", (event) => {
  const svg = byId("latency"), at = svg.createSVGPoint();
  at.x = event.clientX; at.y = event.clientY;
  const x = at.matrixTransform(svg.getScreenCTM().inverse()).x;
  const left = +svg.dataset.left, wide = +svg.dataset.wide;
  const time = Math.max(0, Math.min(1, (x - left) / wide)) * S.end;
  show(Math.max(0, time - 5e5), Math.min(S.end, time + 5e5));
  byId("board").scrollIntoView({ block: "nearest" });
});
for (const each of document.querySelectorAll("[data-key]"))
  each.addEventListener("click", () => { key({ key: each.dataset.key, preventDefault() {} }); });
for (const each of document.querySelectorAll("[data-jump]"))
  each.addEventListener("click", (event) => { event.preventDefault(); jump(+each.dataset.jump); });
for (const each of document.querySelectorAll("[data-call]"))
  each.addEventListener("click", (event) => {
    event.preventDefault();
    const call = callOf.get(+each.dataset.call);
    if (call) { pinAndShow("call", call); byId("board").scrollIntoView({ block: "nearest" }); }
  });

function theme(name) {
  document.documentElement.dataset.theme = name;
  readColours();
  redraw();
}
byId("theme").addEventListener("click", () =>
  theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
const asked = new URLSearchParams(location.hash.slice(1));
theme(asked.get("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
new ResizeObserver(resize).observe(scroll);
resize();
if (asked.has("from")) show(+asked.get("from") * 1e6, +asked.get("to") * 1e6);
else if (asked.get("show") === "all" || S.focus === null) show(0, S.end);
else jump(Math.max(0, S.verdicts.findIndex((v) => v.time === S.focus)), false);
if (asked.has("call")) pinAndShow("call", callOf.get(+asked.get("call")));
draw();
document.documentElement.dataset.ready = "yes";
