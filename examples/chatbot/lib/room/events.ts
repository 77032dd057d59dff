// What windows are told of each other.

/** A window that shows the page. */
export interface Person {
  window: string
  /** '': somebody who has not said. */
  name: string
}

/** The event `typing`. The event `people` has no content: who is there has changed. */
export interface Typing {
  window: string
  isTyping: boolean
}

/** A window chooses its own name for each time it is loaded. */
export const windowPattern = /^[a-z0-9]{4,20}$/
