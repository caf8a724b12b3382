// A hair line through every plot, and what was seen at that moment: by pointer, by touch, and by
// keyboard on the slider.
const plots = [...document.querySelectorAll('#timeline .plot')];
const readout = document.getElementById('readout'), slider = document.getElementById('moment'), said = document.getElementById('said');
const counts = all => Object.keys(all || {}).sort().map(k => [k, all[k]]);

function lines(p) {
  return [[`${p.From.toFixed(1)} s`], [`offered ${p.Offered.toFixed(0)}/s, good ${p.Good.toFixed(0)}/s`],
    [`median ${p.P50.toFixed(1)} ms, p99 ${p.P99.toFixed(1)} ms, worst ${p.Max.toFixed(1)} ms`], ...counts(p.Outcomes),
    ...(p.Faults || []).map(f => [f]), ['decided on'], ...counts(p.Sources)];
}

function point(share) {
  for (const plot of plots) for (const a of ['x1', 'x2']) plot.querySelector('.cross').setAttribute(a, share < 0 ? -9999 : share * 1000);
}

function show(p) {
  readout.replaceChildren(...lines(p).map(([name, value]) => {
    const row = document.createElement('div');
    row.append(name);
    if (value !== undefined) row.append(Object.assign(document.createElement('b'), { textContent: value }));
    return row;
  }));
}

function hide() {
  readout.hidden = true;
  point(-1);
}

for (const plot of plots) {
  plot.addEventListener('mousemove', e => {
    const box = plot.getBoundingClientRect();
    const share = (e.clientX - box.left) / box.width;
    const at = (share - axis.left) / (axis.right - axis.left) * axis.length;
    const p = (points || []).find(p => at >= p.From && at < p.From + axis.width);
    point(share);
    readout.hidden = !p;
    if (!p) return;
    show(p);
    const left = e.clientX + 18 + readout.offsetWidth < innerWidth ? e.clientX + 18 : e.clientX - 18 - readout.offsetWidth;
    readout.style.left = left + 'px';
    readout.style.top = Math.min(e.clientY + 12, innerHeight - readout.offsetHeight - 8) + 'px';
  });
  plot.addEventListener('mouseleave', hide);
}

// An address with #t=25.5 opens the page at that moment.
function choose(i) {
  const p = points[i];
  if (!p) return;
  slider.value = i;
  point(axis.left + (axis.right - axis.left) * Math.min(1, (p.From + axis.width / 2) / axis.length));
  said.textContent = lines(p).map(l => l.join(' ')).join(' · ');
}
slider?.addEventListener('input', () => {
  choose(+slider.value);
  history.replaceState(null, '', '#t=' + points[slider.value].From.toFixed(1));
});
function jump() {
  const t = parseFloat((location.hash.match(/^#t=([\d.]+)/) || [])[1]);
  if (slider && t >= 0) choose(points.findLastIndex(p => p.From <= t));
}
addEventListener('hashchange', jump);
jump();
