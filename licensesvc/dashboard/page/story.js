import { el, say } from './dom.js';
const $ = id => document.getElementById(id);
const clock = t => new Date(t).toTimeString().slice(0, 8);
const stamp = t => `${new Date(t).toLocaleDateString()} ${clock(t)}`;

// trace is a trace id, as a link if the service knows where traces are shown.
function trace(id, template) {
  if (!/^https?:/.test(template || '')) return `trace ${id}`;
  return el('a', { href: template.replaceAll('{trace}', encodeURIComponent(id)), target: '_blank', rel: 'noreferrer' }, `trace ${id}`);
}

const fresh = ['live', 'hedge', 'cache'];

function event(e, template) {
  const facts = [stamp(e.occurred), new Date(e.recorded) - new Date(e.occurred) > 1000 ? `(recorded ${stamp(e.recorded)})` : '',
    e.event.rules ? `rules ${e.event.rules}` : '', `version ${e.version}`].filter(Boolean).join(' · ');
  return el('li', {}, el('b', {}, e.type), el('small', {}, facts, e.trace ? ' · ' : '', e.trace ? trace(e.trace, template) : ''),
    (e.event.decided_on || []).map(d => el('span', { class: 'chip' + (fresh.includes(d.source) ? '' : ' off') }, `${d.dependency}: ${d.source}${d.age_s ? ` ${Math.round(d.age_s)} s old` : ''}`)));
}

// tell shows a license's story.
export async function tell(member, license, template) {
  $('story-form').member.value = member;
  $('story-form').license.value = license;
  $('story').replaceChildren();
  if (!license) return say($('story-hint'), 'No license came of it.');
  try {
    const answer = await fetch(`/v1/members/${encodeURIComponent(member)}/licenses/${encodeURIComponent(license)}/explanation`);
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.detail || body.title);
    say($('story-hint'), `${body.license.title} on ${body.license.device}: ${body.license.status}`);
    $('story').replaceChildren(...body.events.map(e => event(e, template)));
  } catch (e) {
    say($('story-hint'), e.message);
  }
}
