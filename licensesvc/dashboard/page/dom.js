// el makes an element.
export function el(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes || {})) if (v !== null && v !== undefined && v !== false) e.setAttribute(k, v);
  e.append(...children.flat().filter(c => c !== null && c !== undefined && c !== ''));
  return e;
}

const key = node => node.nodeType === 1 ? node.dataset.key || node.id : '';

// patch makes the children of a parent look like those in made. It keeps the elements that are
// there, so that focus, selection and scrolling survive: those with a key (data-key or id) are
// found again by it, the others by their place.
export function patch(parent, made) {
  const known = new Map([...parent.children].filter(key).map(e => [key(e), e]));
  const wanted = new Set(made.map(key).filter(Boolean));
  let at = parent.firstChild;
  for (const node of made) {
    while (at && key(at) && !wanted.has(key(at))) at = drop(at);
    let old = key(node) ? known.get(key(node)) : at;
    if (old && (old.nodeName !== node.nodeName || key(old) !== key(node))) old = null;
    if (!old) {
      parent.insertBefore(node, at);
      continue;
    }
    if (old === at) at = at.nextSibling;
    else parent.insertBefore(old, at);
    update(old, node);
  }
  while (at) at = drop(at);
}

function drop(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

function update(old, made) {
  if (old.nodeType !== 1) {
    if (old.data !== made.data) old.data = made.data;
    return;
  }
  for (const { name } of [...old.attributes]) if (name !== 'style' && !made.hasAttribute(name) && !('own' in made.dataset)) old.removeAttribute(name);
  for (const { name, value } of [...made.attributes]) if (name !== 'style' && old.getAttribute(name) !== value) old.setAttribute(name, value);
  // The page's security policy forbids the attribute, and allows the property.
  if (old.style.cssText !== made.style.cssText) old.style.cssText = made.style.cssText;
  // What has data-own draws its content itself.
  if (!('own' in made.dataset)) patch(old, [...made.childNodes]);
}

// say changes a text only if it is another one, so that a screen reader speaks once.
export function say(e, text) {
  if (e.textContent !== text) e.textContent = text;
}
