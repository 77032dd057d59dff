// Who takes part and how keys are called; the processes of the soak must agree on it.

export const KEY_PREFIX = 'soak:'

/** The two processes that write. The second goes through the fault proxy. */
export const WRITERS = ['A', 'B']

/** Of each process: tasks that write keys of their own, tasks that write shared ones, and tasks that only read. */
export const OWN_TASKS = 40
export const SHARED_TASKS = 40
export const READ_TASKS = 20

export const KEYS_OF_A_TASK = 60
export const SHARED_KEYS = 480

export const ownKey = (by, task, number) => `own:${by}:${task}:${number}`
export const sharedKey = (number) => `shared:${number}`
/** The name on the server. */
export const storedName = (key) => `${KEY_PREFIX}cache:${key}`
/** Where a delete leaves its stamp; for reports only. */
export const sideName = (key) => `${KEY_PREFIX}h:{${storedName(key)}}`
