// What the page knows of whoever looks at it.

export interface Visitor {
  /** As others see it; null: somebody who has not said. */
  name: string | null
  /** As whom they are logged in; null: a guest. */
  user: string | null
  /** What they asked last, the newest first. */
  questions: string[]
}

export const maxName = 40
