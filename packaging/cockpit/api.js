/* global cockpit */
// The control API of one instance, over its socket.

export class Instance {
    // uid is null for the system's. Its requests are made with the visitor's administrative
    // access, if the visitor has turned that on.
    constructor(uid, title) {
        this.key = uid === null ? "system" : "own";
        this.uid = uid;
        this.title = title;
        this.socket = `/run/archy-recovery/${uid === null ? "control" : uid}.sock`;
        this.unit = uid === null ? "archy-recovery" : `archy-recovery@${uid}`;
        this.options = uid === null ? { superuser: "try" } : {};
        this.http = cockpit.http({ unix: this.socket, ...this.options });
    }

    // text returns the answer to a request. Its error has the words of the daemon, if that gave
    // any, and forbidden if the daemon refused the visitor.
    text(method, path) {
        return new Promise((resolve, reject) => {
            this.http.request({ method, path, body: "" }).then(resolve).catch((error, body) => {
                let detail = "";
                try {
                    detail = JSON.parse(body).detail;
                } catch { /* it is no answer of the daemon */ }
                const failure = new Error(detail || this.explain(error));
                failure.forbidden = error.status === 403;
                reject(failure);
            });
        });
    }

    async json(method, path) {
        return JSON.parse(await this.text(method, path));
    }

    explain(error) {
        if (error.problem === "access-denied" || /denied/i.test(error.message))
            return this.denied();
        return error.message || error.problem || String(error);
    }

    denied() {
        return this.uid === null
            ? "Only root and members of the group archy-recovery may see this. Turn on administrative access."
            : `Only root, UID ${this.uid} and members of the group archy-recovery may see this.`;
    }

    // follow calls onStatus with each status, until the returned function is called. onEnd is
    // called with the reason if the stream ends before that.
    //
    // It speaks HTTP itself: the bridge waits for each answer of cockpit.http in one of few
    // threads, and does so until the next event even if the page has gone.
    follow(onStatus, onEnd) {
        const channel = cockpit.channel({ payload: "stream", unix: this.socket, binary: true, ...this.options });
        const decoder = new TextDecoder();
        let text = "";
        let head = null;
        channel.addEventListener("message", (_, data) => {
            text += decoder.decode(data, { stream: true });
            if (head === null) {
                const end = text.indexOf("\r\n\r\n");
                if (end < 0)
                    return;
                head = text.slice(0, end);
                text = text.slice(end + 4);
            }
            if (!/^HTTP\/1\.\d 200/.test(head))
                return;
            const events = text.split("\n\n");
            text = events.pop();
            const last = events.pop(); // the others are older
            if (last !== undefined)
                onStatus(JSON.parse(last.split("\n").find(line => line.startsWith("data: ")).slice(6)));
        });
        channel.addEventListener("close", (_, options) => {
            let reason = options.problem ? this.explain(options) : "";
            if (head !== null && !/^HTTP\/1\.\d 200/.test(head)) {
                try {
                    reason = JSON.parse(text).detail;
                } catch {
                    reason = head.split("\r\n")[0];
                }
            }
            onEnd(reason);
        });
        channel.send(new TextEncoder().encode("GET /v1/events HTTP/1.0\r\nHost: localhost\r\n\r\n"));
        return () => channel.close();
    }
}

// watchUnit calls onChange with what systemd says of a unit: ActiveState and UnitFileState, now
// and at each change.
export async function watchUnit(systemd, name, onChange) {
    const manager = ["/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"];
    const [path] = await systemd.call(...manager, "LoadUnit", [name]);
    const ask = async () => {
        const [properties] = await systemd.call(path, "org.freedesktop.DBus.Properties", "GetAll",
                                                ["org.freedesktop.systemd1.Unit"]);
        onChange({ active: properties.ActiveState.v, file: properties.UnitFileState.v });
    };
    systemd.subscribe({ path, interface: "org.freedesktop.DBus.Properties", member: "PropertiesChanged" }, ask);
    await systemd.call(...manager, "Subscribe", []).catch(() => {}); // another page has done so already
    await ask();
}
