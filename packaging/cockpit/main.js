/* global cockpit */
// The page: which instance is shown, what it says, and what the visitor does.
import "./theme.js";
import { el, show } from "./dom.js";
import { Instance, watchUnit } from "./api.js";
import * as view from "./view.js";
import * as words from "./words.js";

const byId = id => document.getElementById(id);

let all = []; // instances
let current = null;
let units = new Map(); // what systemd says of the service of each
let stopFollowing = null;
let status = null;
let failed = ""; // why the daemon did not answer
let plot = null;
let drawing = null; // the request for the picture, or what is to follow it
let past = {};

function render() {
    show(byId("instances"), el("nav", {}, all.length > 1 ? view.instances(all, current) : []));
    const unit = units.get(current);
    if (status !== null)
        show(byId("page"), view.page(status, plot, past));
    else if (failed)
        show(byId("page"), el("main", {}, view.failure(failed)));
    else if (unit && !runs(unit))
        show(byId("page"), el("main", {}, view.notEnabled(current, unit)));
    const said = status ? `${words.verdict(status.verdict)} ${words.outcome(status).text}` : failed;
    if (byId("said").textContent !== said)
        byId("said").textContent = said;
}

const runs = unit => ["active", "activating", "reloading"].includes(unit.active);

// pick shows another instance.
function pick(instance) {
    if (current === instance)
        return;
    unfollow();
    current = instance;
    refuse("");
    follow();
    render();
}

function unfollow() {
    stopFollowing?.();
    stopFollowing = null;
    status = plot = null;
    failed = "";
    past = {};
}

// follow listens to the daemon if systemd says that it runs. Otherwise a connection would start
// what somebody has stopped.
function follow() {
    const unit = units.get(current);
    if (stopFollowing || !unit || !runs(unit))
        return;
    const instance = current;
    let ended = false;
    const close = instance.follow(next => {
        if (ended)
            return;
        const news = !status?.recoveryComplete || drawn(status) !== drawn(next);
        status = next;
        failed = "";
        render();
        if (news)
            draw();
    }, reason => {
        if (ended)
            return;
        unfollow();
        failed = reason;
        render();
        if (!reason)
            window.setTimeout(follow, 1000); // it has restarted; if it stopped, systemd says so before that
    });
    stopFollowing = () => {
        ended = true;
        close();
    };
}

// drawn is what the picture shows of a recovery that is complete.
const drawn = s => JSON.stringify([s.recoveryId, (s.containers ?? []).map(row => [row.name, row.state, row.attempts])]);

// draw asks for the picture. There is one request at a time; a change during one asks again.
async function draw() {
    if (drawing) {
        drawing = "again";
        return;
    }
    drawing = "once";
    const instance = current;
    try {
        const svg = await instance.text("GET", "/v1/recoveries/current/plot");
        if (instance === current && status)
            plot = asSource(svg);
    } catch {
        // Recovery has not begun, or nothing was to be recovered: there is no picture.
    }
    render();
    const again = drawing === "again" || (status && !status.recoveryComplete);
    drawing = null;
    if (again)
        window.setTimeout(draw, 1000); // its times run also without an event; the host is busy with more
}

// A picture as an image cannot act on the page, whatever the names of containers are.
function asSource(svg) {
    return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}

async function load(what) {
    const instance = current;
    past.error = "";
    try {
        const answer = await instance.json("GET", `/v1/${what}`);
        if (instance === current)
            past[what] = answer[what].toReversed();
    } catch (error) {
        past.error = error.message;
    }
    render();
}

async function openRecovery(id) {
    if (past.opened === id) {
        past.opened = past.picture = null;
    } else {
        past.opened = id;
        past.picture = asSource(await current.text("GET", `/v1/recoveries/${id}/plot`));
    }
    render();
}

// ask asks before something that one may regret, and returns whether to go on.
function ask(title, text, yes) {
    const dialog = byId("question");
    byId("question-title").textContent = title;
    byId("question-text").textContent = text;
    byId("question-yes").textContent = yes;
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise(resolve => {
        dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    });
}

// refuse shows why something could not be done, until the next thing is done.
function refuse(text) {
    show(byId("refusal"), el("div", {}, text && el("p", {}, text)));
}

// askRepair asks for the repair of a container, or for what it would do, and shows why it is left to the visitor.
async function askRepair(method, name) {
    const [plan] = (await current.json(method, `/v1/repair/${name}`)).repairs;
    if (plan.error || plan.refused)
        refuse(words.unrepaired(plan));
    return plan;
}

const deeds = {
    stop: async name => {
        const text = "No recovery starts it any more, until you allow it. It goes on running if it runs now.";
        if (await ask(`Keep ${name} stopped?`, text, "Keep stopped"))
            await current.json("PUT", `/v1/user-stopped/${name}`);
    },
    allow: name => current.json("DELETE", `/v1/user-stopped/${name}`),
    release: async name => {
        const text = "The host went down when it was started. The next recovery starts it like any other.";
        if (await ask(`Release ${name} from quarantine?`, text, "Release"))
            await current.json("DELETE", `/v1/quarantine/${name}`);
    },
    retry: name => current.json("POST", `/v1/retry/${name}`),
    repair: async name => {
        const plan = await askRepair("GET", name); // changes nothing
        if (plan.steps.length > 0 && await ask(`Repair ${name}?`, words.repair(plan), "Repair"))
            await askRepair("POST", name);
    },
    "retry-all": () => current.json("POST", "/v1/retry"),
    hold: () => current.json("PUT", "/v1/hold?seconds=3600"),
    unhold: () => current.json("DELETE", "/v1/hold"),
    snapshot: () => current.json("POST", "/v1/snapshot"),
    recovery: id => openRecovery(Number(id)),
    instance: key => cockpit.location.go([key]),
    again: () => {
        failed = "";
        follow();
        render();
    },
};

async function act(button) {
    const place = button.parentElement;
    refuse("");
    button.disabled = true;
    try {
        await deeds[button.dataset.action](button.dataset.name);
    } catch (error) {
        const help = error.forbidden && current.uid === null ? " In Cockpit, turn on administrative access." : "";
        refuse(`Nothing was changed: ${error.message}.${help}`);
    } finally {
        button.disabled = false;
        const focused = document.activeElement;
        if (focused === document.body || byId("question").contains(focused)) // else the visitor has gone on meanwhile
            (button.isConnected ? button : place.querySelector("button"))?.focus();
    }
}

document.addEventListener("click", event => {
    const button = event.target.closest("button[data-action]");
    if (button)
        act(button);
});

// A toggle does not bubble.
document.addEventListener("toggle", event => {
    const what = event.target.dataset?.load;
    if (what && event.target.open && !past[what])
        load(what);
}, true);

function locate() {
    pick(all.find(i => i.key === cockpit.location.path[0]) ??
        all.find(i => runs(units.get(i) ?? {})) ?? all[0]);
}

async function begin() {
    const user = await cockpit.user();
    all = user.id === 0 ? [] : [new Instance(user.id, `Containers of ${user.name}`)];
    all.push(new Instance(null, "Containers of root"));
    const systemd = cockpit.dbus("org.freedesktop.systemd1", { bus: "system" });
    await Promise.all(all.map(instance => watchUnit(systemd, `${instance.unit}.service`, unit => {
        units.set(instance, unit);
        if (instance !== current)
            return;
        if (!runs(unit) && stopFollowing)
            unfollow();
        follow();
        render();
    })));
    cockpit.addEventListener("locationchanged", locate);
    locate();
    // With administrative access the visitor is root.
    const permission = cockpit.permission({ admin: true });
    permission.addEventListener("changed", () => {
        unfollow();
        follow();
        render();
    });
}

begin().catch(error => {
    failed = `Cockpit could not ask systemd: ${error.message}`;
    render();
});
