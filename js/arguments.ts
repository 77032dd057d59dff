// Arguments of raw commands, checked and made ready to cross.

import { describe, invalid } from './errors.js'
import type { RawArgument } from './generated/operations.js'

/** An argument of a raw command. Numbers are sent as their decimal text. */
export type CommandArgument = string | number | Uint8Array

/** A command of a pipeline. */
export interface PipelineCommand {
  command: string
  args?: readonly CommandArgument[] | undefined
}

/** The command's name and arguments as they cross. Throws `E_INVALID` naming `{path}args[i]`. */
export function rawArguments(
  command: unknown,
  args: readonly unknown[],
  path: string,
  operation: string,
): RawArgument[] {
  if (typeof command !== 'string' || command.trim() === '' || !command.isWellFormed()) {
    const shown = typeof command === 'string' ? 'no name of a command' : describe(command)
    throw invalid(`${path}command`, `${path}command is ${shown}; allowed: a text such as 'GET'`, operation)
  }
  const raw: RawArgument[] = [command]
  for (let index = 0; index < args.length; index++)
    raw.push(rawArgument(args[index], `${path}args[${index}]`, operation))
  return raw
}

function rawArgument(value: unknown, path: string, operation: string): RawArgument {
  if (typeof value === 'string') {
    if (value.isWellFormed()) return value
    throw invalid(
      path,
      `${path} holds a lone surrogate, half of a character; allowed: well-formed text, or bytes`,
      operation,
    )
  }
  if (typeof value === 'number' && Number.isFinite(value)) return String(value)
  if (isBytes(value)) return value
  throw invalid(path, `${path} is ${describe(value)}; allowed: a text, a finite number or a Uint8Array`, operation)
}

/** A Buffer of another global, as test runners have them, is no instance of this one's Uint8Array. */
function isBytes(value: unknown): value is Uint8Array {
  return (
    value instanceof Uint8Array ||
    (ArrayBuffer.isView(value) && Object.prototype.toString.call(value) === '[object Uint8Array]')
  )
}

/** The commands of a pipeline as they cross. Throws `E_INVALID` naming `operations[i]...`. */
export function rawPipeline(commands: unknown, operation: string): RawArgument[][] {
  if (!Array.isArray(commands)) {
    throw invalid(
      'operations',
      `operations is ${describe(commands)}; allowed: an array of { command, args }`,
      operation,
    )
  }
  return commands.map((given: unknown, index) => {
    const path = `operations[${index}]`
    if (typeof given !== 'object' || given === null) {
      throw invalid(path, `${path} is ${describe(given)}; allowed: an object { command, args }`, operation)
    }
    const { command, args = [] } = given as { command?: unknown; args?: unknown }
    if (!Array.isArray(args))
      throw invalid(`${path}.args`, `${path}.args is ${describe(args)}; allowed: an array`, operation)
    return rawArguments(command, args, `${path}.`, operation)
  })
}
