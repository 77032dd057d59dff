// The shared instance: configured from the environment at its first use, one for every copy of this
// module that a bundler or a hot reload evaluates in one global.

import { Holdfast } from './holdfast.js'

const ROOT = Symbol.for('holdfast.root')

const world = globalThis as { [ROOT]?: Holdfast }

/** The shared instance. Making it connects nothing and loads nothing native. */
export const root: Holdfast = (world[ROOT] ??= new Holdfast({}))
