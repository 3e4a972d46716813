// Elements, and how to bring what is shown up to date without losing focus, the place that was
// scrolled to, or what was opened.

// el makes an element. What is null or false among the children is left out; a string becomes
// text and never markup, since names and output come from containers.
export function el(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes ?? {})) {
        if (value === true)
            element.setAttribute(name, "");
        else if (value !== null && value !== undefined && value !== false)
            element.setAttribute(name, value);
    }
    element.append(...children.flat(Infinity).filter(c => c !== null && c !== undefined && c !== false && c !== ""));
    return element;
}

// show makes the children of an element like those of another. Elements of the same kind and
// key stay, and so do their focus and their state.
export function show(shown, wanted) {
    const old = [...shown.childNodes];
    const byKey = new Map(old.filter(n => n.dataset?.key).map(n => [n.dataset.key, n]));
    let place = shown.firstChild;
    for (const next of [...wanted.childNodes]) {
        const key = next.dataset?.key;
        let match = key ? byKey.get(key) : place;
        if (!key && match?.dataset?.key)
            match = null;
        if (!match || match.nodeName !== next.nodeName) {
            shown.insertBefore(next, place);
            continue;
        }
        if (match === place)
            place = place.nextSibling;
        else
            move(match, shown, place);
        update(match, next);
        byKey.delete(key);
    }
    while (place) {
        const gone = place;
        place = place.nextSibling;
        const focused = gone.contains(document.activeElement);
        gone.remove();
        if (focused) // what has taken its place, as "Allow" does that of "Keep stopped"
            shown.querySelector("button")?.focus();
    }
}

// move puts an element before another. That takes the focus from what is inside of it.
function move(element, parent, before) {
    const focused = document.activeElement;
    parent.insertBefore(element, before);
    if (element.contains(focused))
        focused.focus();
}

// kept are the attributes that say what somebody has done: opened a part, or pressed a button.
const kept = ["open", "disabled"];

function update(shown, wanted) {
    if (shown.nodeType === Node.TEXT_NODE) {
        if (shown.data !== wanted.data)
            shown.data = wanted.data;
        return;
    }
    for (const { name } of [...shown.attributes]) {
        if (!kept.includes(name) && !wanted.hasAttribute(name))
            shown.removeAttribute(name);
    }
    for (const { name, value } of wanted.attributes) {
        if (!kept.includes(name) && shown.getAttribute(name) !== value)
            shown.setAttribute(name, value);
    }
    show(shown, wanted);
}
