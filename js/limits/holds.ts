// Who is told when something that was held is held no longer.

export class Holds {
  private readonly listeners = new Map<string, () => void>()

  /** Who hears of one; null: nobody any more. */
  listen(id: string, lost: (() => void) | null): void {
    if (lost === null) this.listeners.delete(id)
    else this.listeners.set(id, lost)
  }

  lose(id: string): void {
    const lost = this.listeners.get(id)
    this.listeners.delete(id)
    lost?.()
  }
}
