// The parts of the page. Each returns an element; nothing here asks the daemon. A button says by
// data-action what it does, and main.js does it.
import { el } from "./dom.js";
import * as words from "./words.js";

function section(key, title, ...content) {
    return el("section", { "data-key": key, "aria-labelledby": `${key}-title` },
              el("h2", { id: `${key}-title` }, title), content);
}

function button(action, name, label, described) {
    return el("button", { type: "button", "data-action": action, "data-name": name, "data-key": `${action}-${name}`,
                          "aria-label": described ?? `${label} ${name}` }, label);
}

function stamp(moment) {
    return el("time", { datetime: moment }, words.time(moment));
}

// prose is a sentence of the daemon, which marks commands by backticks.
function prose(text) {
    const parts = text.split("`").map((part, i) => i % 2 === 1 ? el("code", {}, part) : part);
    if (typeof parts[0] === "string" && /^[a-z]+ /.test(parts[0]))
        parts[0] = parts[0][0].toUpperCase() + parts[0].slice(1);
    return el("p", {}, parts, /[.!?]$/.test(text) ? "" : ".");
}

function table(caption, heads, rows) {
    return el("table", {}, el("caption", { class: "unseen" }, caption),
              el("thead", {}, el("tr", {}, heads.map(head => el("th", { scope: "col" }, head)))),
              el("tbody", {}, rows));
}

// cells of a row; on a phone each has the head of its column before it.
function cells(heads, values) {
    return values.map((value, i) => i === 0
        ? el("th", { scope: "row" }, value)
        : el("td", { "data-head": heads[i] }, value));
}

export function instances(all, current) {
    return all.map(instance => el("button", {
        type: "button", "data-action": "instance", "data-name": instance.key, "data-key": instance.key,
        "aria-current": instance === current ? "true" : null,
    }, instance.title));
}

export function notEnabled(instance, unit) {
    const name = instance.unit;
    if (unit.file === "") {
        return section("absent", "The service is not installed",
                       el("p", {}, "systemd does not know ", el("code", {}, name),
                          ". Install the package archy-recovery."));
    }
    if (unit.active === "failed" || unit.file === "enabled") {
        return section("absent", unit.active === "failed" ? "The service has failed" : "The service does not run",
                       el("p", {}, "What ran is not recovered after the next crash. The reason is in the journal:"),
                       el("pre", {}, `journalctl -u ${name}`),
                       el("p", {}, "To start it:"),
                       el("pre", {}, `systemctl restart ${name}`));
    }
    const whose = instance.uid === null ? "root's" : "your";
    const linger = instance.uid === null ? "" : `loginctl enable-linger ${instance.uid}\n`;
    return section("absent", "Recovery is not enabled here",
                   el("p", {}, `After a crash, nobody starts ${whose} containers again in order. ` +
                               "To have that done, run as root:"),
                   el("pre", {}, `${linger}systemctl enable --now ${name}`),
                   el("p", {}, "This page shows it as soon as that is done."));
}

export function failure(text) {
    return section("absent", "The service does not answer", el("p", {}, text),
                   el("p", {}, el("button", { type: "button", "data-action": "again" }, "Try again")));
}

function evidence(v) {
    return el("details", { "data-key": "evidence" }, el("summary", {}, "Evidence"),
              v.inWords && prose(v.inWords),
              el("p", { class: "dim" }, v.reason),
              (v.evidence ?? []).map(entry =>
                  el("p", { class: "entry" }, stamp(entry.time), " ", el("code", {}, entry.message))),
              v.lastAlive &&
                  el("p", { class: "dim" }, "The host was last known to be alive at ", stamp(v.lastAlive), "."));
}

function happened(status) {
    const { kind, text } = words.outcome(status);
    return section("happened", "What happened",
                   el("p", { class: "verdict" }, words.verdict(status.verdict)),
                   el("p", { class: `outcome ${kind}` }, text),
                   status.recoveryComplete && status.started && el("p", { class: "dim" },
                       `Recovery took ${words.span(status.started, status.finished)} and was complete at `,
                       stamp(status.finished), "."),
                   evidence(status.verdict),
                   (status.notes ?? []).map(note => el("p", { class: "note" }, el("strong", {}, "Warning: "), note)));
}

function missing(status, rows) {
    if (rows.length === 0)
        return null;
    const suspects = new Map((status.quarantine ?? []).filter(words.isWatched).map(s => [s.name, s]));
    return section("missing", "Not back", el("ul", { class: "cards" }, rows.map(row => {
        if (row.state === "quarantined" && !suspects.get(row.name)?.quarantined) {
            return el("li", { "data-key": `missing-${row.name}` },
                      el("h3", {}, row.name, " ", el("span", { class: "dim" }, "is released from quarantine")),
                      el("p", {}, "The next recovery starts it. To have it run before that, start it yourself."));
        }
        const { cause, advice, output } = words.why(row);
        const coming = suspects.get(row.name) ? words.suspicion(suspects.get(row.name)) : words.next(row);
        return el("li", { "data-key": `missing-${row.name}` },
                  el("h3", {}, row.name, " ", el("span", { class: "bad" }, words.trouble(row))),
                  cause && prose(cause), advice && prose(advice),
                  coming && el("p", { class: "dim" }, coming),
                  output.length > 0 && el("details", { "data-key": `output-${row.name}` },
                                          el("summary", {}, "Last lines of output"), el("pre", {}, output.join("\n"))),
                  el("p", { class: "actions" }, canTry(row) && button("retry", row.name, "Try now"),
                     words.isDamaged(row) && button("repair", row.name, "Repair …"), actions(status, row.name)));
    })), tries(status, rows));
}

const canTry = row => ["failed", "fell", "no-network", "waiting"].includes(row.state);

// tries is what one can do about all that is tried again.
function tries(status, rows) {
    const due = rows.some(row => row.retry && !row.retry.ended);
    const held = status.heldUntil;
    const all = (action, text) => el("button", { type: "button", "data-action": action, "data-key": action }, text);
    return [
        held && el("p", { class: "note" }, "Nothing is started by itself until ", stamp(held), "."),
        el("p", { class: "actions" }, due && all("retry-all", "Try all now"),
           held && all("unhold", "End the hold"), due && !held && all("hold", "Hold for an hour")),
    ];
}

function actions(status, name) {
    if ((status.quarantine ?? []).some(s => s.name === name && s.quarantined))
        return button("release", name, "Release");
    if ((status.userStopped ?? []).includes(name))
        return button("allow", name, "Allow");
    return button("stop", name, "Keep stopped");
}

function picture(source, title) {
    return el("div", { class: "picture", "data-key": "picture", tabindex: "0", role: "region", "aria-label": title },
              el("img", { src: source, alt: `${title}. The table of containers has the same in words.` }));
}

const rowHeads = ["Container", "Tier", "Recovery", "Now", "Took", "Tries", ""];

// containers is a table of all that recovery knows of: its rows, what joined the set later, and
// what is kept stopped.
function containers(status) {
    const rows = new Map((status.containers ?? []).map(row => [row.name, row]));
    for (const member of status.snapshot?.containers ?? []) {
        if (!rows.has(member.name))
            rows.set(member.name, { name: member.name, tier: member.tier, state: "" });
    }
    for (const name of status.userStopped ?? []) {
        if (!rows.has(name))
            rows.set(name, { name, state: "user-stopped" });
    }
    if (rows.size === 0)
        return el("p", {}, "No container has run here yet.");
    const lost = row => row.state !== "" && words.isLost(row, status.recoveryComplete);
    return table("The containers", rowHeads, [...rows.values()].map(row =>
        el("tr", { "data-key": `row-${row.name}`, class: lost(row) ? "lost" : null },
           cells(rowHeads, [row.name, row.tier ?? "", row.state || "joined later", row.now ?? "",
                            words.took(row), row.attempts?.length ?? "",
                            el("span", { class: "actions" }, actions(status, row.name))]))));
}

// suspects are those that are not among the lost already.
function suspects(status, lost) {
    const watched = (status.quarantine ?? []).filter(s =>
        words.isWatched(s) && !lost.some(row => row.name === s.name));
    if (watched.length === 0)
        return null;
    return section("suspects", "Suspected of crashes", el("ul", { class: "cards" }, watched.map(s =>
        el("li", { "data-key": `suspect-${s.name}` },
           el("h3", {}, s.name, " ", s.quarantined
               ? el("span", { class: "bad" }, "quarantined")
               : el("span", { class: "dim" }, "suspected")),
           el("p", {}, words.suspicion(s)),
           s.quarantined && el("p", { class: "actions" }, button("release", s.name, "Release"))))));
}

function snapshot(status) {
    const set = status.snapshot;
    const members = words.count(set.containers?.length ?? 0, "container");
    const written = set.timestamp && new Date(set.timestamp * 1000).toISOString();
    return section("snapshot", "Running set",
                   el("p", {}, `After a crash, ${members} would be started.`,
                      written && [" The list was written at ", stamp(written), "."]),
                   el("p", { class: "actions" },
                      el("button", { type: "button", "data-action": "snapshot" }, "Take a snapshot now")));
}

const recoveryHeads = ["Recovery", "Last run", "Result", "Took", ""];

function recoveries(list, opened) {
    return table("Earlier recoveries", recoveryHeads, list.map(r => {
        const lost = (r.containers ?? []).filter(row => words.isLost(row)).length;
        const run = (r.containers ?? []).filter(row => row.state === "up" || row.state === "active").length;
        return el("tr", { "data-key": `recovery-${r.id}` },
                  cells(recoveryHeads, [stamp(r.started), words.verdict(r.verdict),
                                        `${run} running` + (lost ? `, ${lost} not back` : ""),
                                        r.finished ? words.span(r.started, r.finished) : "not finished",
                                        el("button", { type: "button", "data-action": "recovery", "data-name": r.id,
                                                       "aria-expanded": opened === r.id ? "true" : "false",
                                                       "aria-label": `Picture of recovery ${r.id}` }, "Picture")]));
    }));
}

const bootHeads = ["Boot", "From", "Until", "How it ended", "Recovery after it"];

function boots(list) {
    return table("The last boots", bootHeads, list.map(boot => {
        const until = boot.lastEntry ?? boot.lastAlive;
        const runs = boot.index === 0 && !boot.notInJournal;
        return el("tr", { "data-key": `boot-${boot.bootId}` },
                  cells(bootHeads, [boot.notInJournal ? "–" : boot.index,
                                    boot.firstEntry ? stamp(boot.firstEntry) : "", until ? stamp(until) : "",
                                    runs ? "it runs" : words.causeInWords(boot.cause ?? "unknown"),
                                    boot.recovery?.summary ?? ""]));
    }));
}

// history is what is asked for only when it is opened: past.boots and past.recoveries are null until then.
function history(past) {
    const opens = (what, title, ...content) =>
        el("details", { "data-key": what, "data-load": what }, el("summary", {}, title),
           past[what] ? content : el("p", {}, past.error || "Asking …"));
    return section("history", "Earlier",
                   opens("recoveries", "Recoveries", past.recoveries && recoveries(past.recoveries, past.opened),
                         past.picture && picture(past.picture, `Recovery ${past.opened} as a picture`)),
                   opens("boots", "Boots", past.boots && boots(past.boots)));
}

// page is the whole of an instance that answers.
export function page(status, plot, past) {
    const lost = status.recoveryComplete ? (status.containers ?? []).filter(row => words.isLost(row)) : [];
    return el("main", {},
              happened(status),
              missing(status, lost),
              section("recovery", status.recoveryComplete ? "How recovery went" : "Recovery is under way",
                      plot ? picture(plot, "The recovery as a picture") : el("p", {}, "There is no picture yet.")),
              section("containers", "Containers", containers(status)),
              suspects(status, lost),
              snapshot(status),
              history(past));
}
