// The page draws what each event of /dashboard/events says; it keeps no state of
// its own but which license's story is open.
const $ = id => document.getElementById(id);
const NS = 'http://www.w3.org/2000/svg';
// tones are the colours of words: outcomes and sources have theirs from the service.
let tones = {};
const tone = name => tones[name] || 'none';

function el(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes || {})) e.setAttribute(k, v);
  e.append(...children.filter(c => c !== null && c !== undefined));
  return e;
}

// bars draws one stacked bar a moment, all on one scale.
function bars(svg, moments, parts) {
  const peak = Math.max(1, ...moments.map(m => Object.values(parts(m)).reduce((a, b) => a + b, 0)));
  svg.setAttribute('viewBox', `0 0 ${moments.length} 1`);
  svg.replaceChildren(...moments.flatMap((m, i) => {
    let y = 1;
    return Object.entries(parts(m)).filter(([, n]) => n > 0).map(([name, n]) => {
      const r = document.createElementNS(NS, 'rect');
      y -= n / peak;
      for (const [k, v] of Object.entries({ x: i + .06, y, width: .88, height: n / peak, class: tone(name) })) r.setAttribute(k, v);
      const t = document.createElementNS(NS, 'title');
      t.textContent = `${moments.length - i} s ago: ${name} ${n}`;
      r.append(t);
      return r;
    });
  }));
  return peak;
}

const sum = (moments, key) => moments.slice(-5).reduce((a, m) => a + (m[key] || 0), 0);
const last = (moments, key) => (moments.findLast(m => m[key] > 0) || {})[key] || 0;
const ms = v => v >= 100 ? `${v.toFixed(0)} ms` : `${v.toFixed(1)} ms`;

// span places a stretch of time on a strip that ends now.
function span(e, from, to, now, seconds) {
  const begin = Math.max(0, 1 - (now - from) / 1000 / seconds), end = Math.min(1, 1 - (now - to) / 1000 / seconds);
  e.style.left = 100 * begin + '%';
  e.style.width = 100 * Math.max(0, end - begin) + '%';
  return end > 0 && begin < 1 ? e : null;
}

function dependency(d, s, now) {
  const seconds = d.history.length;
  const svg = document.createElementNS(NS, 'svg');
  svg.setAttribute('class', 'plot small');
  svg.setAttribute('preserveAspectRatio', 'none');
  bars(svg, d.history, m => ({ ...m.sources, failed: m.failed }));
  const used = d.limit ? d.in_flight / d.limit : 0;
  const fill = el('i', used > .8 ? { class: 'much' } : {});
  fill.style.width = 100 * used + '%';
  const strip = el('div', { class: 'breakers', title: 'the breaker over time' });
  const changes = (s.changes || []).filter(c => c.dependency === d.dependency);
  changes.forEach((c, i) => {
    const until = i + 1 < changes.length ? Date.parse(changes[i + 1].at) : now;
    const e = el('i', { class: { open: 'bad', 'half-open': 'warn' }[c.to] || 'good2', title: `${c.to}: ${c.why || ''}` });
    if (c.to !== 'closed' && span(e, Date.parse(c.at), until, now, seconds)) strip.append(e);
  });
  const sources = Object.keys(Object.assign({}, ...d.history.map(m => m.sources || {})));
  return el('div', { class: 'dep', id: 'dep-' + d.dependency.replace(/\W/g, '-') },
    el('h3', {}, d.dependency, el('span', { class: 'pill', 'data-state': d.breaker }, d.breaker)),
    el('p', { class: 'note' }, d.fallback),
    svg, strip,
    el('p', { class: 'legend' }, ...sources.flatMap(x => [el('span', { class: 'key ' + tone(x) }), x]), sum(d.history, 'failed') ? ' , some failed' : ''),
    el('div', { class: 'gauge' }, 'permits', el('span', { class: 'bar' }, fill), el('b', {}, `${d.in_flight} of ${d.limit}`), `${d.waiting} waiting`),
    el('div', { class: 'gauge' }, 'calls ', el('b', {}, `${(sum(d.history, 'calls') / 5).toFixed(1)}/s`), 'median', el('b', {}, ms(last(d.history, 'p50_ms'))), 'p99', el('b', {}, ms(last(d.history, 'p99_ms')))),
  );
}

function draw(s) {
  const now = Date.parse(s.now);
  tones = Object.fromEntries([...(s.sources || []), ...(s.outcomes || [])].map(v => [v.name, v.tone]));
  document.title = $('title').textContent = s.title;
  const status = s.status || { ready: true };
  $('status').textContent = $('status').dataset.state = status.ready ? 'ready' : 'not ready';
  $('banner').hidden = !status.note;
  $('banner').textContent = status.note || '';

  $('dependencies').replaceChildren(...s.dependencies.map(d => dependency(d, s, now)));

  const traffic = s.traffic || [];
  $('traffic-card').hidden = !s.traffic;
  const seen = Object.keys(Object.assign({}, ...traffic.map(t => t.outcomes || {})));
  const outcomes = (s.outcomes || []).map(v => v.name).filter(o => seen.includes(o));
  $('traffic-legend').replaceChildren(...outcomes.flatMap(o => [el('span', { class: 'key ' + tone(o) }), o]));
  bars($('traffic'), traffic, t => t.outcomes || {});
  const lanes = {};
  for (const f of s.faults || []) (lanes[f.target] ||= []).push(f);
  $('faults').replaceChildren(...Object.entries(lanes).map(([target, list]) => el('div', { class: 'strip' },
    ...list.map(f => span(el('span', { title: `${target}: ${f.what}` }, `${target}: ${f.what}`), Date.parse(f.from), f.to ? Math.min(now, Date.parse(f.to)) : now, now, traffic.length || 90)))));

  const per = key => traffic.slice(-5).reduce((a, t) => a + Object.entries(t.outcomes || {}).filter(([o]) => !key || o === key).reduce((a, [, n]) => a + n, 0), 0) / 5;
  const numbers = [['answers', `${per().toFixed(0)}/s`], ['median', ms(last(traffic, 'p50_ms'))], ['p99', ms(last(traffic, 'p99_ms'))],
    ['promises open', status.provisional ?? 0]];
  $('numbers').replaceChildren(...numbers.map(([k, v]) => el('div', {}, el('dt', {}, k), el('dd', {}, String(v)))));

  $('buttons-card').hidden = !(s.buttons || []).length;
  const wanted = (s.buttons || []).map(b => b.id).join();
  if ($('buttons').dataset.ids !== wanted) {
    $('buttons').dataset.ids = wanted;
    $('buttons').replaceChildren(...(s.buttons || []).map(b => {
      const button = el('button', { id: 'fault-' + b.id, type: 'button' }, `${b.target}: ${b.label}`);
      button.addEventListener('click', () => press(b.id));
      return button;
    }));
  }
  for (const b of s.buttons || []) $('fault-' + b.id).setAttribute('aria-pressed', b.active);

  $('recent-card').hidden = !s.recent;
  $('recent').replaceChildren(...(s.recent || []).map(d => {
    const row = el('tr', { tabindex: 0, 'data-license': d.license || '' }, ...[new Date(d.at).toLocaleTimeString(), d.member, d.kind, d.outcome, d.title, (d.on || []).join(', ')].map(t => el('td', {}, t || '')));
    const choose = () => tell(d.member, d.license);
    row.addEventListener('click', choose);
    row.addEventListener('keydown', e => e.key === 'Enter' && choose());
    return row;
  }));

  $('capacity-card').hidden = !s.capacity;
  if (s.capacity) {
    const c = s.capacity, gb = n => n >= 1e9 ? (n / 1e9).toFixed(1) + ' GB' : (n / 1e6).toFixed(1) + ' MB';
    $('capacity').replaceChildren(el('b', {}, c.days_left < 0 ? 'too early to say' : c.days_left > 3650 ? 'more than ten years left' : `${c.days_left.toFixed(1)} days left`),
      el('p', {}, `${gb(c.free_bytes)} free, ${gb(c.store_bytes)} used by events, ${c.bytes_per_event.toFixed(0)} bytes an event, ${c.events_per_hour.toFixed(0)} events an hour: ${c.state}`), c.note ? el('p', {}, c.note) : null);
  }
}

async function press(id) {
  const answer = await fetch('/dashboard/faults/' + encodeURIComponent(id), { method: 'POST' });
  if (!answer.ok) alert(await answer.text());
}

async function tell(member, license) {
  $('story-form').member.value = member;
  $('story-form').license.value = license;
  if (!license) {
    $('story-hint').textContent = 'No license came of it.';
    $('story').replaceChildren();
    return;
  }
  let body;
  try {
    const answer = await fetch(`/v1/members/${encodeURIComponent(member)}/licenses/${encodeURIComponent(license)}/explanation`);
    body = await answer.json();
    if (!answer.ok) throw new Error(body.detail || body.title);
  } catch (e) {
    $('story-hint').textContent = e.message;
    $('story').replaceChildren();
    return;
  }
  $('story-hint').textContent = `${body.license.title} on ${body.license.device}: ${body.license.status}`;
  $('story').replaceChildren(...body.events.map(e => el('li', {},
    el('b', {}, e.type),
    el('small', {}, [new Date(e.occurred).toLocaleString(), new Date(e.recorded) - new Date(e.occurred) > 1000 ? `(recorded ${new Date(e.recorded).toLocaleString()})` : '', e.event.rules ? `rules ${e.event.rules}` : '', `version ${e.version}`, e.trace ? `trace ${e.trace}` : ''].filter(Boolean).join(' · ')),
    ...(e.event.decided_on || []).map(d => el('span', { class: 'chip' + (['live', 'hedge', 'cache'].includes(d.source) ? '' : ' off') }, `${d.dependency}: ${d.source}${d.age_s ? ` ${Math.round(d.age_s)} s old` : ''}`)))));
}

$('story-form').addEventListener('submit', e => {
  e.preventDefault();
  tell(e.target.member.value.trim(), e.target.license.value.trim());
});

const stream = new EventSource('/dashboard/events');
stream.addEventListener('message', e => draw(JSON.parse(e.data)));
stream.addEventListener('error', () => {
  $('status').textContent = $('status').dataset.state = 'gone';
  $('banner').hidden = false;
  $('banner').textContent = 'The service does not answer. What is shown is old; the page looks for it again by itself.';
});
