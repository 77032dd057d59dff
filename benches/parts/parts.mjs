// What a suite of parts is made of. A suite is an object with
//   command, title     as it is run, and the heading of its report
//   file               its report, in benches/
//   child              the script of a contender's process, as `ask` of lib/child.mjs names it
//   rounds, lasts      how many by default, and how long they take, in words
//   parts              in the order of the report
//   packagesOf         (contenders) => the names of the packages whose versions are told
//   notTheSame         what a reader has to know before he compares, a sentence or two each
// A part is an object with
//   id, title, about   how it is called, and what is done in it
//   columns            { id, title }: the figures
//   contenders         { id, label, package, ours, redis, ... }: the lines. `ours` is Holdfast, `redis` wants a server
//   compared           pairs of lines whose ratio is shown; by default each of ours with each of the others
//   measure            async (contender, { port }) => {[column]: figure}, in a process of the contender's own, on a
//                      server of its own; it throws where what it measured was not what it says
//   goals              { text, of: [line, column], by: [line, column], atLeast | atMost | under, unit, worst }: of a
//                      figure, or of its ratio to another one of the same round; `worst`: in every round
//   mostRounds         at most so many rounds
//   limitMs            against a process that hangs

export function partNamed(parts, id) {
  const found = parts.find((part) => part.id === id)
  if (found === undefined) throw new Error(`No part "${id}". There are: ${parts.map((part) => part.id).join(', ')}.`)
  return found
}

export const roundsOf = ({ mostRounds = Infinity }, rounds) => Math.min(rounds, mostRounds)

/** Pairs of lines: [ours, theirs]. */
export function comparedIn({ contenders, compared }) {
  const lineNamed = (id) => contenders.find((contender) => contender.id === id)
  if (compared !== undefined) return compared.map((pair) => pair.map(lineNamed))
  const others = contenders.filter(({ ours }) => !ours)
  return contenders.filter(({ ours }) => ours).flatMap((mine) => others.map((other) => [mine, other]))
}
