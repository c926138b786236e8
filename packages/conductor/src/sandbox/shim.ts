/**
 * A line of shell that becomes the program: it enters the control groups and takes on resource limits first, so that there is no
 * moment in which the program runs without them. Paths and program come as arguments, never as script text.
 */
export interface ResourceLimits {
  openFilesMax: number
  /** Memory of one process: the bound that is left where no control group is. */
  memoryBytesMax?: number
  /** Processes of the user. */
  processesMax?: number
}

/**
 * What Node maps writable from the start and mostly never touches: room for machine code and thread stacks. RLIMIT_DATA counts it all
 * the same. Measured with Node 24 on x86_64: 560 MiB.
 */
const reservedByNodeBytes = 576 * 1024 * 1024

const script = (limits: ResourceLimits): string =>
  [
    'while [ "$1" != -- ]; do echo $$ > "$1" || exit 125; shift; done',
    'shift',
    'ulimit -c 0',
    // A lower hard limit of the machine stays: more than that nobody here may ask for.
    `ulimit -n ${limits.openFilesMax} 2>/dev/null`,
    ...(limits.memoryBytesMax
      ? [`ulimit -d ${Math.floor((limits.memoryBytesMax + reservedByNodeBytes) / 1024)} 2>/dev/null`]
      : []),
    // The letter differs between shells: u in bash and busybox, p in dash.
    ...(limits.processesMax
      ? [`ulimit -u ${limits.processesMax} 2>/dev/null || ulimit -p ${limits.processesMax} 2>/dev/null`]
      : []),
    'exec "$@"',
  ].join('\n')

/** The command line: a shell that enters `entrances`, limits itself and turns into `command`. */
export function shimmed(entrances: readonly string[], limits: ResourceLimits, command: readonly string[]): string[] {
  return ['/bin/sh', '-c', script(limits), 'maestro-sandbox', ...entrances, '--', ...command]
}
