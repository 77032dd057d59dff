// Who is here, in the head of the page, and who types, at its foot.

import type { Visitor } from '@/lib/session/visitor'

import type { Room } from './use-room'

const shown = 4
const hues = 3

/** This window first, then the others. */
export function People({ room, visitor }: { room: Room; visitor: Visitor }) {
  const others = room.people.filter(({ window }) => window !== room.own)
  const all = [{ window: room.own, name: visitor.name ?? '', isOwn: true }, ...others.map((person) => ({ ...person, isOwn: false }))]
  const names = all.map(({ name, isOwn }) => (isOwn ? `${nameOf(name)} (you)` : nameOf(name)))
  return (
    <ul className="people" aria-label={`Here now: ${names.join(', ')}`} title={`Here now: ${names.join(', ')}`}>
      {all.slice(0, shown).map(({ window, name }, index) => (
        <li key={window} data-testid="person" data-name={name} data-hue={hueOf(window)}>{initialOf(name, index)}</li>
      ))}
      {all.length > shown && <li className="more">+{all.length - shown}</li>}
    </ul>
  )
}

/** Who types in other windows; null: nobody. */
export function typingText({ people, typing }: Room): string | null {
  if (typing.length === 0) return null
  if (typing.length > 2) return `${typing.length} people are typing`
  const names = typing.map((window) => nameOf(people.find((person) => person.window === window)?.name ?? ''))
  return `${names.join(' and ')} ${names.length === 1 ? 'is' : 'are'} typing`
}

function nameOf(name: string): string {
  return name === '' ? 'A guest' : name
}

function initialOf(name: string, index: number): string {
  return name === '' ? (index === 0 ? 'Me' : '?') : [...name][0]!.toUpperCase()
}

function hueOf(window: string): number {
  let sum = 0
  for (const letter of window) sum += letter.charCodeAt(0)
  return sum % hues
}
