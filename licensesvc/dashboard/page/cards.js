import { el, patch, say } from './dom.js';
import { bars, lines, ms, point } from './plot.js';
const $ = id => document.getElementById(id);

// tones are the colours and patterns of words. The service sends them with the words.
let tones = {};
const tone = name => tones[name] || 'none';
const legend = names => names.flatMap(n => [el('span', { class: 'key ' + tone(n), 'data-key': 'key-' + n }), el('span', { 'data-key': 'word-' + n }, n)]);
const sum = (moments, name) => moments.slice(-5).reduce((a, m) => a + (m[name] || 0), 0);
// recently returns a figure of the last five seconds; without calls there is none.
const recently = (moments, name) => {
  const m = moments.slice(-5).findLast(m => m[name] > 0);
  return m ? ms(m[name]) : '–';
};

// span places a stretch of time on a strip that ends now.
function span(e, from, to, now, seconds) {
  const begin = Math.max(0, 1 - (now - from) / 1000 / seconds), end = Math.min(1, 1 - (now - to) / 1000 / seconds);
  e.style.left = 100 * begin + '%';
  e.style.width = 100 * Math.max(0, end - begin) + '%';
  return end > 0 && begin < 1 ? e : null;
}

const id = d => 'dep-' + d.dependency.replace(/\W/g, '-');
const parts = d => Object.keys(Object.assign({}, ...d.history.map(m => m.sources || {}))).concat(d.history.some(m => m.failed) ? ['failed'] : []);

function gauge(...parts) {
  return el('div', { class: 'gauge' }, ...parts);
}

function dependency(d, s, now) {
  const fill = el('i', d.in_flight > .8 * d.limit ? { class: 'much' } : {});
  fill.style.width = 100 * (d.limit ? Math.min(1, d.in_flight / d.limit) : 0) + '%';
  const changes = (s.changes || []).filter(c => c.dependency === d.dependency);
  const strip = el('div', { class: 'breakers', 'aria-hidden': 'true' }, ...changes.map((c, i) => {
    const until = i + 1 < changes.length ? Date.parse(changes[i + 1].at) : now;
    const e = el('i', { class: { open: 'bad', 'half-open': 'warn' }[c.to] || 'good2', title: `${c.to}${c.why ? ': ' + c.why : ''}` });
    return c.to === 'closed' ? null : span(e, Date.parse(c.at), until, now, d.history.length);
  }));
  return el('div', { class: 'dep', id: id(d) },
    el('h3', {}, d.dependency, el('span', { class: 'pill', 'data-state': d.breaker }, d.breaker)),
    el('p', { class: 'note' }, d.fallback),
    el('div', { class: 'spark', 'data-own': '', 'data-key': 'plot', 'aria-hidden': 'true' }), strip,
    el('p', { class: 'legend' }, legend(parts(d))),
    gauge('permits', el('span', { class: 'bar' }, fill), el('b', {}, `${d.in_flight} of ${d.limit}`), `${d.waiting} waiting`),
    gauge('calls', el('b', {}, `${(sum(d.history, 'calls') / 5).toFixed(1)}/s`), 'median', el('b', {}, recently(d.history, 'p50_ms')), 'p99', el('b', {}, recently(d.history, 'p99_ms'))));
}

// spark returns the small plot on a dependency's card.
export function spark(d) {
  const holder = $(id(d)).querySelector('.spark');
  if (!holder.firstChild) {
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    svg.setAttribute('class', 'plot small');
    holder.append(svg);
  }
  return holder.firstChild;
}

function faults(s, now) {
  const lanes = {}, seconds = s.traffic?.length || 90;
  for (const f of s.faults || []) {
    const bar = span(el('i', { title: `${f.target}: ${f.what}` }), Date.parse(f.from), f.to ? Math.min(now, Date.parse(f.to)) : now, now, seconds);
    if (bar) (lanes[f.target] ||= []).push({ bar, what: f.what });
  }
  return Object.entries(lanes).map(([target, list]) => el('div', { class: 'lane', 'data-key': 'lane-' + target },
    el('p', {}, el('b', {}, target), ' ' + [...new Set(list.map(f => f.what))].join(', ')),
    el('div', { class: 'strip', 'aria-hidden': 'true' }, ...list.map(f => f.bar))));
}

const free = n => n >= 1e12 ? (n / 1e12).toFixed(1) + ' TB' : n >= 1e9 ? (n / 1e9).toFixed(1) + ' GB' : (n / 1e6).toFixed(1) + ' MB';

// left rounds a forecast to what it can promise.
export function left(days) {
  if (days < 0) return 'too early to say';
  if (days > 3650) return 'more than ten years left';
  if (days > 700) return `about ${Math.round(days / 365)} years left`;
  if (days > 60) return `about ${Math.round(days / 30)} months left`;
  return days >= 10 ? `about ${Math.round(days)} days left` : `${days.toFixed(1)} days left`;
}

function disk(c) {
  return [el('b', {}, left(c.days_left)),
    el('p', {}, [`${free(c.free_bytes)} free`, ...(c.bytes_per_event > 0 ? [`${free(c.store_bytes)} used by events`, `${c.bytes_per_event.toFixed(0)} bytes per event`] : ['the size of events is not known']),
      `${c.events_per_hour.toFixed(0)} events per hour`].join(', ') + `: ${c.state}`),
    ...(c.note ? [el('p', {}, c.note)] : [])];
}

// held says that somebody reads or uses a part of the page, which therefore stays as it is.
const held = e => e.matches(':hover, :focus-within') || !document.getSelection().isCollapsed && e.contains(document.getSelection().anchorNode);

function decisions(s) {
  const busy = held($('recent-card'));
  say($('recent-hint'), busy ? 'Paused while you point at it.' : 'The newest first. Choose one for its story.');
  if (busy) return;
  const seen = {};
  patch($('recent'), (s.recent || []).map(d => {
    let key = `row-${d.at}-${d.member}-${d.license}-${d.kind}`;
    key += '-' + (seen[key] = (seen[key] || 0) + 1);
    return el('tr', { 'data-key': key, 'data-member': d.member, 'data-license': d.license || '' },
      el('td', {}, new Date(d.at).toTimeString().slice(0, 8)), el('td', {}, el('button', { type: 'button', class: 'link' }, d.member)),
      ...[d.kind, d.outcome, d.title, (d.on || []).join(', ')].map(t => el('td', {}, t || '')));
  }));
}

function header(s) {
  const status = s.status || { ready: true }, open = s.dependencies.filter(d => d.breaker === 'open' || d.breaker === 'half-open').length;
  say($('status'), status.ready ? 'ready' : 'not ready');
  $('status').dataset.state = status.ready ? 'ready' : 'not ready';
  $('degraded').hidden = !open;
  say($('degraded'), open ? `degraded: ${open} of ${s.dependencies.length} open` : '');
  const traffic = s.traffic || [];
  const rate = traffic.slice(-5).reduce((a, t) => a + Object.values(t.outcomes || {}).reduce((a, n) => a + n, 0), 0) / 5;
  patch($('numbers'), [['answers', `${rate.toFixed(0)}/s`], ['median', recently(traffic, 'p50_ms')], ['p99', recently(traffic, 'p99_ms')], ['promises open', String(status.provisional ?? 0)]]
    .map(([k, v]) => el('div', { 'data-key': k }, el('dt', {}, k), el('dd', {}, v))));
  return status.note || '';
}

// draw shows the state. It returns the note for the banner.
export function draw(s) {
  const now = Date.parse(s.now);
  tones = Object.fromEntries([...(s.sources || []), ...(s.outcomes || [])].map(v => [v.name, v.tone]));
  if (document.title !== s.title) document.title = s.title;
  say($('title'), s.title);
  patch($('dependencies'), s.dependencies.map(d => dependency(d, s, now)));
  patch($('faults'), faults(s, now));
  for (const [card, shown] of [['traffic-card', s.traffic], ['latency-card', s.traffic], ['buttons-card', s.buttons?.length], ['recent-card', s.recent], ['capacity-card', s.capacity]]) $(card).hidden = !shown;
  patch($('buttons'), (s.buttons || []).map(b => el('button', { id: 'fault-' + b.id, type: 'button', 'data-fault': b.id, 'aria-pressed': String(b.active) }, `${b.target}: ${b.label}`)));
  if (s.recent) decisions(s);
  if (s.capacity) patch($('capacity'), disk(s.capacity));
  return header(s);
}

// plot draws what changes once per second.
export function plot(s) {
  const traffic = s.traffic || [];
  if (s.traffic) {
    const seen = Object.assign({}, ...traffic.map(t => t.outcomes || {}));
    const names = (s.outcomes || []).map(v => v.name).filter(n => n in seen);
    patch($('traffic-legend'), legend(names));
    const { limit, most } = bars($('traffic'), traffic, { names, count: (t, n) => t.outcomes?.[n] || 0, tone, axes: true, unit: '/s' });
    $('traffic').setAttribute('aria-label', `Answers per second by outcome: ${names.join(', ') || 'none'}; at most ${most}`);
    say($('clipped'), most > limit ? `▲ is higher than the scale: at most ${most}/s` : '');
    lines($('latency'), traffic, [{ key: 'p50_ms', class: 'p50' }, { key: 'p99_ms', class: 'p99' }]);
  }
  for (const d of s.dependencies) bars(spark(d), d.history, { names: parts(d), count: (m, n) => n === 'failed' ? m.failed : m.sources?.[n] || 0, tone });
}

// moment says what was seen in one second, and points at it in every plot. A negative one ends it.
export function moment(s, i) {
  const count = s.traffic?.length || s.dependencies[0]?.history.length || 90;
  for (const svg of document.querySelectorAll('svg.plot')) point(svg, i, count);
  if (i < 0) return '';
  const t = s.traffic?.[i], ago = `${count - i} s ago`;
  const counts = o => Object.entries(o || {}).filter(([, n]) => n).map(([k, n]) => `${n} ${k}`).join(', ') || 'nothing';
  const of = s.dependencies.map(d => [d, d.history[i]]).filter(([, m]) => m && (m.calls || m.refused));
  return [ago + (t ? `: ${counts(t.outcomes)}${t.p99_ms ? `; median ${ms(t.p50_ms)}, p99 ${ms(t.p99_ms)}` : ''}` : ''),
    ...of.map(([d, m]) => `${d.dependency}: ${counts({ ...m.sources, failed: m.failed, refused: m.refused })}`)].join(' · ');
}
