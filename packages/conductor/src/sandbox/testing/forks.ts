/** Code that a specimen is asked to run. */

/** Starts processes that stay, for ever, and does not mind when one is refused. */
export const forkBomb =
  'const grow = () => { try { require("node:child_process").spawn("sleep", ["1000"], { stdio: "ignore" }).on("error", () => {}) } catch {} setTimeout(grow, 1) }; grow()'

/** Leaves the group, the session and the parent, as a daemon does. */
export const doubleFork =
  'return new Promise(done => require("node:child_process").spawn("/bin/sh", ["-c", "(setsid sleep 1000 & setsid sleep 1000 &)"], { stdio: "ignore", detached: true }).on("exit", done))'
