// The cookie that carries an id: what it is called, what it says, and how it is read out of whatever a client sends.
import { afterEach, describe, expect, it, vi } from 'vitest'
import { onStore } from '../cache/stores'
import { fresh, NextCookies, requestWith, unknownId, type Manager, type ManagerOptions } from './sessions'

const { holdfast } = onStore('memory')
const cookiesOf = (cookie: ManagerOptions['cookie'] = {}, options: ManagerOptions = {}): Manager['cookies'] => holdfast.createSessionManager({ prefix: fresh('cookies'), ...options, cookie }).cookies
const month = 30 * 86_400

/** The attributes of a Set-Cookie header: the first is name and value. */
const parts = (header: string | null): string[] => (header ?? '').split('; ')
/** The Set-Cookie headers, each by itself. */
const setBy = (headers: Headers): string[] => headers.getSetCookie()

afterEach(() => vi.unstubAllEnvs())

describe('the name', () => {
  it.each<[string, string | undefined, boolean | undefined, string]>([
    ['is session in development', 'development', undefined, 'session'],
    ['is session where nobody says what it is', undefined, undefined, 'session'],
    ['has the prefix __Host- in production', 'production', undefined, '__Host-session'],
    ['has none in production where it is not to be Secure', 'production', false, 'session'],
    ['has the prefix in development where it is to be Secure', 'development', true, '__Host-session'],
  ])('%s', (_, NODE_ENV, secure, name) => {
    vi.stubEnv('NODE_ENV', NODE_ENV)
    const cookies = cookiesOf({ secure })
    expect(cookies.name).toBe(name)
    const [first, ...rest] = parts(cookies.header('id'))
    expect(first).toBe(`${name}=id`)
    expect(rest.includes('Secure')).toBe(name.startsWith('__Host-'))
  })

  it('is decided when the manager is made', () => {
    vi.stubEnv('NODE_ENV', 'production')
    const cookies = cookiesOf()
    vi.stubEnv('NODE_ENV', 'development')
    expect(cookies.name).toBe('__Host-session')
    expect(cookiesOf().name).toBe('session')
  })

  it.each(['sid', 'a', 'A-b_c.d', '!#$%&\'*+.^`|~-_', 'n'.repeat(64)])('may be %s', (name) => {
    const cookies = cookiesOf({ name })
    const id = unknownId()
    expect(cookies.name).toBe(name)
    expect(cookies.read(requestWith(parts(cookies.header(id))[0]))).toBe(id)
    expect(cookiesOf({ name, secure: true }).name).toBe(`__Host-${name}`)
  })
})

describe('the attributes', () => {
  it('keep scripts, other paths, other hosts and other sites out', () => {
    expect(parts(cookiesOf({ secure: true }).header('id')).sort()).toEqual(['HttpOnly', `Max-Age=${month}`, 'Path=/', 'SameSite=Lax', 'Secure', '__Host-session=id'])
    expect(parts(cookiesOf().header('id')).sort()).toEqual(['HttpOnly', `Max-Age=${month}`, 'Path=/', 'SameSite=Lax', 'session=id'])
  })

  it('are SameSite=Strict where that is told', () => {
    expect(parts(cookiesOf({ sameSite: 'strict' }).header('id'))).toContain('SameSite=Strict')
  })

  it('give it as long as a session can live, or the time of the browser', () => {
    expect(parts(cookiesOf({}, { absoluteTtl: '7d' }).header('id'))).toContain(`Max-Age=${7 * 86_400}`)
    for (const text of [cookiesOf({ untilClosed: true }).header('id'), cookiesOf({ untilClosed: true }, { absoluteTtl: '7d' }).header('id')]) expect(text).not.toMatch(/max-age|expires/i)
  })

  it('never say that it is over already', () => {
    expect(parts(cookiesOf({}, { absoluteTtl: 0.5 }).header('id'))).not.toContain('Max-Age=0')
  })

  it('take it away under the same name, path and marks', () => {
    for (const cookie of [{}, { secure: true }, { sameSite: 'strict' as const }, { untilClosed: true }]) {
      const cookies = cookiesOf(cookie)
      const headers = new Headers()
      cookies.clear(headers)
      const [text] = setBy(headers)
      const expected = parts(cookies.header('x').replace('=x', '=')).filter((part) => !part.startsWith('Max-Age='))
      expect(parts(text!).sort()).toEqual([...expected, 'Max-Age=0'].sort())
    }
  })
})

describe('reading', () => {
  const cookies = cookiesOf()
  const id = unknownId()

  it.each<[string, string]>([
    ['alone', `session=${id}`],
    ['first', `session=${id}; theme=dark`],
    ['last', `theme=dark; session=${id}`],
    ['without spaces', `theme=dark;session=${id};a=b`],
    ['with many spaces', `  theme = dark ;   session  =  ${id}   ; a=b`],
    ['behind a tab', `theme=dark;\tsession=${id}\t;a=b`],
    ['behind what is no cookie', `dark; =empty; ; ;;; session=${id}`],
    ['beside names that end or begin alike', `xsession=a; sessionx=b; session_=c; _session=d; session=${id}; Session=e; SESSION=f`],
    ['beside values that look alike', `a=session=wrong; b="session=wrong"; session=${id}`],
    ['beside the name with a prefix', `__Host-session=wrong; session=${id}`],
    ['beside names that objects have', `__proto__=a; constructor=b; toString=c; session=${id}`],
    ['before another of its name', `session=${id}; session=wrong`],
    ['beside a value that is no text of a URL', `a=%E0%A4%A; session=${id}`],
    ['among a thousand', `${Array.from({ length: 1_000 }, (_, n) => `name${n}=${n}`).join('; ')}; session=${id}`],
  ])('finds it %s', (_, header) => {
    expect(cookies.read(requestWith(header))).toBe(id)
    expect(cookies.read(new Headers({ cookie: header }))).toBe(id)
    expect(cookies.read({ headers: { get: (name) => (name === 'cookie' ? header : null) } })).toBe(id)
  })

  it.each<[string, string | undefined]>([
    ['there is no header', undefined], ['the header is empty', ''], ['there are others', 'theme=dark; a=b'], ['there is the name alone', 'session'], ['there is the name with a space within', 'ses sion=a'],
    ['the name has other letters', `Session=${id}`], ['there is that of production', `__Host-session=${id}`], ['only a value looks alike', `a=session=${id}`], ['a prefix stands there as a value', `a="; b=c"`],
  ])('finds none where %s', (_, header) => {
    expect(cookies.read(requestWith(header))).toBeNull()
  })

  it('does not take one without the prefix in production', () => {
    expect(cookiesOf({ secure: true }).read(requestWith(`session=${id}`))).toBeNull()
    expect(cookiesOf({ secure: true }).read(requestWith(`session=wrong; __Host-session=${id}`))).toBe(id)
  })

  it('finds it in the cookie store of Next', () => {
    expect(cookies.read(new NextCookies({ session: id }))).toBe(id)
    expect(cookies.read(new NextCookies({ other: id }))).toBeNull()
    expect(cookies.read(new NextCookies())).toBeNull()
  })

  it('finds it in a cookie store that can only be read', () => {
    expect(cookies.read({ get: (name: string) => (name === 'session' ? { value: id } : undefined) })).toBe(id)
  })

  it('gives what stands there, quotes and all: ids have none', async () => {
    const manager = holdfast.createSessionManager({ prefix: fresh('quoted') })
    const own = await manager.createSession('ann')
    for (const value of [`"${own}"`, `${own}"`, `%22${own}`, `${own},`, `${own} x`]) {
      const opened = await manager.openSession(requestWith(`session=${value}`))
      expect([opened.session, opened.id]).toEqual([null, null])
    }
    expect((await manager.openSession(requestWith(`session=${own}`))).userId).toBe('ann')
  })
})

describe('writing', () => {
  const cookies = cookiesOf()

  it('sets it on a response, or its headers, which caches are asked not to keep', () => {
    const response = new Response('body')
    cookies.set(response, 'id')
    const headers = new Headers()
    cookies.set(headers, 'id')
    for (const each of [response.headers, headers]) {
      expect(setBy(each)).toEqual([cookies.header('id')])
      expect(each.get('cache-control')).toBe('no-store')
    }
    cookies.clear(response)
    expect(setBy(response.headers)).toHaveLength(2)
    expect(response.headers.get('cache-control')).toBe('no-store')
  })

  it('leaves other cookies alone, and what the app says of caches where that keeps it private', () => {
    const headers = new Headers({ 'set-cookie': 'theme=dark', 'cache-control': 'private, max-age=0' })
    cookies.set(headers, 'id')
    expect(setBy(headers)).toEqual(['theme=dark', cookies.header('id')])
    expect(headers.get('cache-control')).toBe('private, max-age=0')
  })

  it('sets it in the cookie store of Next', () => {
    const store = new NextCookies()
    cookies.set(store, 'id')
    cookiesOf({ secure: true, sameSite: 'strict', untilClosed: true }).set(store, 'id')
    cookies.clear(store)
    const attributes = { httpOnly: true, secure: false, sameSite: 'lax', path: '/' }
    expect(store.set_).toEqual([
      ['session', 'id', { ...attributes, maxAge: month }],
      ['__Host-session', 'id', { ...attributes, secure: true, sameSite: 'strict' }],
      ['session', '', { ...attributes, maxAge: 0 }],
    ])
  })
})
