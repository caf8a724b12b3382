// The page draws what each event of /dashboard/events says. Its own state is the last event,
// which license's story is open, and which moment is pointed at.
import { say } from './dom.js';
import { draw, moment, plot } from './cards.js';
import { pointed } from './plot.js';
import { tell } from './story.js';
const $ = id => document.getElementById(id);

// silent is the time without an event after which what is shown counts as old.
const silent = 3000;
// again is the time after which the page connects again by itself.
const again = 5000;

let state, second, heard = performance.now(), problem = '', at = -1;

function show(note) {
  const text = problem || note || '';
  $('banner').hidden = !text;
  say($('banner'), text);
  document.body.classList.toggle('old', Boolean(problem));
}

function lost(word, text) {
  problem = text;
  $('status').dataset.state = 'gone';
  say($('status'), word);
  show();
}

function receive(e) {
  state = JSON.parse(e.data);
  heard = performance.now();
  problem = '';
  show(draw(state));
  const newest = (state.traffic || state.dependencies[0]?.history || []).at(-1)?.at;
  if (newest !== second) {
    second = newest;
    plot(state);
    look(at);
  }
}

function look(i) {
  at = i;
  if (state) say($('at'), moment(state, i));
}

function connect() {
  const stream = new EventSource('/dashboard/events');
  stream.addEventListener('message', receive);
  stream.addEventListener('displaced', e => {
    const { watchers, per_caller, again_s } = JSON.parse(e.data);
    lost('displaced', `Another page took this one's place: at most ${watchers} pages can watch at once, ${per_caller} of one caller. This page tries again in ${again_s} s; what is shown is old.`);
  });
  stream.addEventListener('error', async () => {
    if (stream.readyState === EventSource.CLOSED) { // The browser has given up; the page has not.
      lost('gone', await refusal());
      setTimeout(connect, again);
    } else if (!$('status').textContent.includes('displaced')) {
      lost('gone', 'The service does not answer. What is shown is old; the page looks for it again by itself.');
    }
  });
}

// refusal asks why the stream was refused.
async function refusal() {
  const stop = new AbortController();
  try {
    const answer = await fetch('/dashboard/events', { signal: stop.signal });
    if (answer.ok) return 'The connection was lost. What is shown is old; the page connects again in 5 s.';
    const text = (await answer.text()).trim();
    let detail = text;
    try { detail = JSON.parse(text).detail || text; } catch { /* The text is no JSON. */ }
    return `The service refuses this page (${answer.status}): ${detail.slice(0, 200)}. What is shown is old; the page tries again in 5 s.`;
  } catch {
    return 'The service does not answer. What is shown is old; the page looks for it again by itself.';
  } finally {
    stop.abort();
  }
}

setInterval(() => {
  if (!problem && performance.now() - heard > silent) lost('silent', 'Nothing has come from the service for 3 s. What is shown is old.');
}, 500);

$('buttons').addEventListener('click', async e => {
  const id = e.target.dataset.fault;
  if (!id) return;
  try {
    const answer = await fetch('/dashboard/faults/' + encodeURIComponent(id), { method: 'POST' });
    say($('buttons-note'), answer.ok ? '' : await answer.text());
  } catch (error) {
    say($('buttons-note'), error.message);
  }
});

$('recent').addEventListener('click', e => {
  const row = e.target.closest('tr');
  if (row && document.getSelection().isCollapsed) tell(row.dataset.member, row.dataset.license, state?.trace_url);
});

$('story-form').addEventListener('submit', e => {
  e.preventDefault();
  tell(e.target.member.value.trim(), e.target.license.value.trim(), state?.trace_url);
});

// One cursor for all plots: by keyboard and touch on the slider, by pointer on a plot.
const slider = $('cursor');
slider.addEventListener('input', () => look(+slider.value));
slider.addEventListener('blur', () => look(-1));
document.addEventListener('pointermove', e => {
  const svg = e.target.closest?.('svg.plot');
  if (!svg || !state) return;
  slider.value = pointed(svg, e, +slider.max + 1);
  look(+slider.value);
});
document.addEventListener('pointerout', e => { if (e.target.closest?.('svg.plot') && document.activeElement !== slider) look(-1); });
addEventListener('resize', () => state && plot(state));

connect();
