const NS = 'http://www.w3.org/2000/svg';
const left = 50, foot = 18;

function shape(tag, attributes, text) {
  const e = document.createElementNS(NS, tag);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  if (text !== undefined) e.textContent = text;
  return e;
}

// ms writes a latency.
export const ms = v => v >= 1000 ? `${(v / 1000).toFixed(1)} s` : v >= 10 ? `${v.toFixed(0)} ms` : `${v.toFixed(1)} ms`;

// top is the upper end of a scale: a round number that all values but the largest 5 % keep to,
// so that one burst does not flatten everything else.
export function top(values) {
  const sorted = values.filter(v => v > 0).sort((a, b) => a - b);
  if (!sorted.length) return 1;
  const usual = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * .95))], most = sorted.at(-1);
  const wanted = most <= 1.5 * usual ? most : 1.1 * usual;
  const power = 10 ** Math.floor(Math.log10(wanted));
  return power * [1, 2, 3, 4, 5, 6, 8, 10].find(n => n * power >= wanted);
}

// Frame is the space of a plot in pixels, with its time axis. axes: false leaves the axes out.
class Frame {
  constructor(svg, count, axes) {
    Object.assign(this, { svg, count, axes, w: svg.clientWidth || 600, h: svg.clientHeight || 120 });
    this.left = axes ? left : 0;
    this.bottom = this.h - (axes ? foot : 0);
    this.upper = axes ? 8 : 1;
    this.step = (this.w - this.left) / count;
    this.parts = [];
    if (!axes) return;
    for (let ago = 0; ago <= count; ago += 30) {
      this.parts.push(shape('text', { x: this.w - ago * this.step, y: this.h - 4, 'text-anchor': ago === 0 ? 'end' : ago === count ? 'start' : 'middle' }, ago ? `${ago} s ago` : 'now'));
    }
  }
  x(i) { return this.left + i * this.step; }
  mark(y, text) {
    this.parts.push(shape('line', { x1: this.left, x2: this.w, y1: y, y2: y, class: 'grid' }), shape('text', { x: this.left - 6, y: y + 4, 'text-anchor': 'end' }, text));
  }
  done() {
    this.parts.push(shape('line', { class: 'cursor', x1: -9, x2: -9, y1: 0, y2: this.bottom }));
    this.svg.setAttribute('viewBox', `0 0 ${this.w} ${this.h}`);
    this.svg.dataset.left = this.left;
    this.svg.replaceChildren(...this.parts);
  }
}

// bars draws one stacked bar per moment. names are the parts, from below; count returns how many
// of one there were; tone names its colour and pattern.
export function bars(svg, moments, { names, count, tone, axes, unit = '' }) {
  const f = new Frame(svg, moments.length, axes);
  const totals = moments.map(m => names.reduce((sum, n) => sum + count(m, n), 0));
  const limit = top(totals), height = f.bottom - f.upper;
  if (axes) for (const share of [0, .5, 1]) f.mark(f.bottom - share * height, `${+(share * limit).toFixed(1)}${unit}`);
  const foots = moments.map(() => 0), gap = f.step > 3 ? .5 : 0;
  for (const name of names) {
    let d = '';
    moments.forEach((m, i) => {
      const n = count(m, name), from = Math.min(limit, foots[i]), to = Math.min(limit, foots[i] + n);
      foots[i] += n;
      if (to > from) d += `M${(f.x(i) + gap).toFixed(1)} ${(f.bottom - from / limit * height).toFixed(1)}h${(f.step - 2 * gap).toFixed(1)}v${(-(to - from) / limit * height).toFixed(1)}h${(2 * gap - f.step).toFixed(1)}z`;
    });
    if (d) f.parts.push(shape('path', { d, class: tone(name), fill: `url(#pattern-${tone(name)})`, 'data-name': name }));
  }
  totals.forEach((n, i) => { // A bar that is higher than the scale.
    if (n > limit) f.parts.push(shape('path', { d: `M${f.x(i)} ${f.upper + 6}l${f.step / 2} -6l${f.step / 2} 6z`, class: 'clipped' }));
  });
  f.done();
  return { limit, most: Math.max(0, ...totals) };
}

// lines draws quantiles of latency on a logarithmic scale.
export function lines(svg, moments, quantiles) {
  const f = new Frame(svg, moments.length, true);
  const most = Math.max(10, ...moments.map(m => Math.max(...quantiles.map(q => m[q.key] || 0))));
  const decades = Math.ceil(Math.log10(most));
  const y = v => f.bottom - (f.bottom - f.upper) * Math.max(0, Math.log10(Math.max(1, v))) / decades;
  for (let p = 0; p <= decades; p++) f.mark(y(10 ** p), 10 ** p >= 1000 ? `${10 ** (p - 3)} s` : `${10 ** p} ms`);
  for (const q of quantiles) {
    let d = '', open = false;
    moments.forEach((m, i) => {
      const v = m[q.key];
      if (v > 0) d += `${open ? 'L' : 'M'}${(f.x(i) + f.step / 2).toFixed(1)} ${y(v).toFixed(1)}`;
      open = v > 0;
    });
    if (d) f.parts.push(shape('path', { d, class: 'quantile ' + q.class }));
  }
  f.done();
}

// point moves the cursor of a plot to a moment; a negative one hides it.
export function point(svg, i, count) {
  const line = svg.querySelector('.cursor'), from = +svg.dataset.left || 0;
  const x = i < 0 ? -9 : from + (i + .5) * (svg.viewBox.baseVal.width - from) / count;
  line?.setAttribute('x1', x);
  line?.setAttribute('x2', x);
}

// pointed returns the moment below the pointer.
export function pointed(svg, event, count) {
  const box = svg.getBoundingClientRect(), from = +svg.dataset.left || 0;
  return Math.max(0, Math.min(count - 1, Math.floor((event.clientX - box.left - from) / (box.width - from) * count)));
}
