// Sentences for what the API tells. Later versions of the daemon may have states and causes that
// this file does not know: then the daemon's own words are shown.

// A container in one of these states is where it should be.
const well = new Set(["up", "active", "done", "skipped", "deferred", "user-stopped", "needs-stopped"]);
// Something is still to come in one of these.
const pending = new Set(["queued", "waiting", "starting", "retrying"]);

const isPending = row => pending.has(row.state);
const isDown = row => row.now === "down" && (row.state === "up" || row.state === "active");
// A container is lost if it should run and does not. What is tried again after recovery is lost until it is up.
export const isLost = (row, complete = true) =>
    isPending(row) ? complete : !well.has(row.state) || isDown(row);

const hostCauses = {
    "power-loss": "The power failed, or the host was reset.",
    "kernel-panic": "The kernel panicked.",
    "watchdog": "A watchdog reset the host.",
    "out-of-memory": "The host ran out of memory and went down.",
    "clean-shutdown": "The host was shut down in order, and the service was cut short.",
    "soft-reboot": "The host was soft-rebooted, and the service was cut short.",
    "kexec": "Another kernel was booted, and the service was cut short.",
    "unknown": "The host went down, and nothing says why.",
};

const endings = {
    "": "How the last run ended is not known yet.",
    "clean-stop": "Nothing crashed: the last run ended in order.",
    "already-running": "Recovery runs already in another process.",
    "service-crash": "The recovery service crashed. The host stayed up.",
    "interrupted": "The last recovery was stopped before it was complete.",
    "unclean": "The last run did not end in order.",
};

// verdict says in one sentence how a run ended.
export function verdict(v) {
    if (v.ending === "host-crash" && hostCauses[v.cause])
        return hostCauses[v.cause];
    return endings[v.ending] ?? v.reason;
}

export const causeInWords = cause => hostCauses[cause] ?? cause;

// outcome says whether all is back: its text, and how bad that is.
export function outcome(status) {
    const rows = status.containers ?? [];
    const lost = rows.filter(row => isLost(row));
    const run = status.now.running;
    if (!status.recoveryComplete)
        return { kind: "info", text: status.progress || "Recovery has not begun yet." };
    if (lost.length === 0 && rows.length === 0)
        return { kind: "good", text: "Nothing was to be started." };
    if (lost.length === 0)
        return { kind: "good", text: `Everything is back: ${count(run, "container")} ${run === 1 ? "runs" : "run"}.` };
    const names = lost.slice(0, 4).map(row => row.name).join(", ") + (lost.length > 4 ? " and others" : "");
    return { kind: "bad", text: `${run} of ${rows.length} containers run. Not back: ${names}.` };
}

// trouble says what is wrong with a container that is not back.
export function trouble(row) {
    switch (row.state) {
    case "damaged": return "is damaged on the disk since the crash, and was not started";
    case "failed": return "failed to start";
    case "fell": return row.now === "running" ? "fell, and runs again" : "was started, and fell";
    case "restarting": return `ends and is started again (${count(row.restarts ?? 0, "restart")})`;
    case "no-network": return "waits for the network";
    case "missing": return "is missing: neither podman nor systemd knows it";
    case "quarantined": return "is quarantined: the host went down when it was started";
    case "held": return "is held back by the kernel command line";
    case "up":
    case "active": return "was recovered, and is down now";
    case "starting": return "is being started again";
    default: return `is ${row.state}`;
    }
}

// why returns the cause of a row's last failure, what to do about it, and the last lines of output.
export function why(row) {
    const last = row.attempts?.at(-1);
    const known = last?.why ?? {};
    return {
        cause: known.cause || row.error || last?.error || "",
        advice: known.advice ?? "",
        output: known.output ?? [],
    };
}

// isDamaged reports whether a repair may mend what keeps a container down.
export const isDamaged = row => row.state === "damaged" ||
    ["image-damaged", "name-in-use-storage"].includes(row.attempts?.at(-1)?.why?.reason);

// repairStep says what one step of a repair does.
function repairStep(step) {
    switch (step.kind) {
    case "remove-container": return `remove the container ${step.target.slice(0, 12)}, which its unit makes anew`;
    case "reserve-name": return `keep the name ${step.target}, so that nothing pulls another version meanwhile`;
    case "remove-image": return `remove the image ${step.target.slice(0, 12)}`;
    case "load": return `load the image ${step.target.slice(0, 12)} from its archive`;
    case "tag": return `give it the name ${step.target}`;
    default: return `${step.kind} ${step.target}`;
    }
}

// repair says what a repair would do.
export const repair = plan => `${plan.fault[0].toUpperCase()}${plan.fault.slice(1)}. A repair would ` +
    plan.steps.map(repairStep).join(", then ") + ". No volume is touched.";

// unrepaired says why a repair did not mend a container.
export const unrepaired = plan => plan.error
    ? `${plan.container} is not mended: ${plan.error}`
    : `${plan.container}: ${plan.fault}. That is left to you: ${plan.refused}`;

// next says what is going to happen to a container without anybody's doing. It is empty if nothing is.
export function next(row) {
    if (row.retry?.ended)
        return `It is not tried again: ${row.retry.ended}.`;
    if (row.retry?.next)
        return `It is tried again at ${time(row.retry.next)}. Tries until now: ${row.retry.tries}.`;
    switch (row.state) {
    case "waiting": return row.error ? `It starts later: ${row.error}.` : "It starts when what it waits for is there.";
    case "no-network": return "It is started as soon as the network is there.";
    case "retrying": return "It has a second attempt in a moment.";
    case "restarting": return "systemd or podman goes on starting it.";
    default: return "";
    }
}

// isWatched reports whether a suspect is treated in another way than other containers.
export const isWatched = suspect => suspect.quarantined || (suspect.strikes > 0 && !suspect.noted);

// suspicion says what happens to a container that the host crashed with.
export function suspicion(suspect) {
    const crashes = count(suspect.strikes, "crash");
    if (suspect.quarantined) {
        return `It was being started at ${crashes} of the host, and is not started any more. ` +
            (suspect.nextTry ? `Its next try is at ${time(suspect.nextTry)}, if the host lives so long.` : "");
    }
    return `It was being started at ${crashes} of the host. ` +
        "The next recovery starts it last, with few others or alone.";
}

export function count(n, word) {
    const plural = /(s|sh|ch)$/.test(word) ? `${word}es` : `${word}s`;
    return `${n} ${n === 1 ? word : plural}`;
}

const unit = (n, name) => `${n}\u00a0${name}`;

// time is a moment in the visitor's time zone.
export function time(moment) {
    return moment ? new Date(moment).toLocaleString("sv-SE") : "";
}

export function span(from, to) {
    const seconds = (new Date(to) - new Date(from)) / 1000;
    if (!(seconds >= 0))
        return "";
    if (seconds < 10)
        return unit(seconds.toFixed(1), "s");
    if (seconds < 60)
        return unit(Math.round(seconds), "s");
    const minutes = Math.floor(seconds / 60);
    if (minutes < 60)
        return `${unit(minutes, "min")} ${unit(Math.round(seconds % 60), "s")}`;
    return `${unit(Math.floor(minutes / 60), "h")} ${unit(minutes % 60, "min")}`;
}

// took is how long the last attempt of a row took, or has taken until now.
export function took(row) {
    const last = row.attempts?.at(-1);
    return last ? span(last.started, last.ended ?? Date.now()) : "";
}
