/** A command is data: parsing, help, completion and the reference all come from it. */
import type { Context } from './context.ts'

export interface Flag {
  summary: string
  /** What stands for the value in help, such as `<name>`; a flag without one is a switch. */
  value?: string
  /** May be given again and again. */
  many?: boolean
  /** The value may be left out; given, it follows an equals sign. */
  optional?: boolean
}

export type Flags = Readonly<Record<string, Flag>>

/** What completion can offer for an argument. */
export type Noun = 'deployment' | 'session' | 'secret' | 'file' | 'topic'

export interface Argument {
  name: string
  summary: string
  optional?: boolean
  noun?: Noun
}

type ValueOf<F extends Flag> = F extends { many: true }
  ? string[]
  : F extends { optional: true }
    ? string | true | undefined
    : F extends { value: string }
      ? string | undefined
      : boolean

export interface Input<F extends Flags = Flags> {
  arguments: string[]
  flags: { readonly [K in keyof F]: ValueOf<F[K]> }
  /** What stood behind `--`. */
  rest: string[]
}

export interface Command<F extends Flags = Flags> {
  /** One or two words. */
  name: string
  summary: string
  /** More than the summary says, in full sentences. */
  description?: string
  arguments?: readonly Argument[]
  /** What may stand behind `--`, where anything may. */
  rest?: string
  flags?: F
  /** Lines that work, the most usual first. */
  examples: readonly string[]
  /** Resolves with the exit code; 0 where it resolves with nothing. It never prints by itself: `context.out` does. */
  run(context: Context, input: Input<F>): Promise<number | undefined>
}

export const command = <const F extends Flags>(definition: Command<F>): Command => definition as unknown as Command

/** Flags of a command that prints a listing. */
export const jsonFlag = {
  json: { summary: 'Print JSON; --json=a,b picks fields', value: '<fields>', optional: true },
} as const

/** Flags that every command takes. */
export const globalFlags = {
  data: { summary: 'Data folder of the Conductor to speak to', value: '<folder>' },
  debug: { summary: 'Show the stack of an error' },
  help: { summary: 'Show help' },
} as const satisfies Flags
