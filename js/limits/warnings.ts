// What looks wrong with limits, said once in a process.

const WARNED = Symbol.for('holdfast.warned')
/** One for all copies of this module in a global. */
const warned = ((globalThis as { [WARNED]?: Set<string> })[WARNED] ??= new Set<string>())

/** Says something once in this process. */
export function warnOnce(code: string, text: string): void {
  if (warned.has(code)) return
  warned.add(code)
  process.emitWarning(text, { type: 'HoldfastWarning', code })
}

/** This process is alone and takes a whole limit for its share. */
export function warnUnshared(): void {
  warnOnce(
    'HOLDFAST_INSTANCES_UNSET',
    'Redis does not answer, so each process counts rate limits by itself, and nobody said how many there are: each lets a whole limit through. Set the option instances, or HOLDFAST_INSTANCES',
  )
}
