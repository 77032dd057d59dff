// Compares a package typing with the table of promised names. It works on text, so that a test can
// hand it a mutilated typing and see that it is caught.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { root, uncoveredRows, type Exception, type PromisedField, type PromisedRow, type PromisedTable } from './table'

const options: ts.CompilerOptions = {
  strict: true,
  noEmit: true,
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2022.d.ts', 'lib.esnext.disposable.d.ts'],
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  types: ['node'],
}

const sources = new Map<string, ts.SourceFile | undefined>()

/** What the typings lack, one sentence each; an empty list when every promise is kept. */
export function problemsOf(typings: string, table: PromisedTable, exceptions: Exception[]): string[] {
  const probe = new Probe(typings, table)
  const problems = table.promised.flatMap((row, index) => probe.check(row, index))
  problems.push(...probe.anyTypes())
  for (const exception of exceptions) {
    if (exception.name !== undefined && probe.has(exception)) {
      const what = [exception.name, exception.member, exception.field].filter(Boolean).join('.')
      problems.push(`${exception.row} ${what}: the exception is no longer needed, the typings have it`)
    }
    if (exception.heldBy !== undefined && !existsSync(join(root, exception.heldBy))) {
      problems.push(`${exception.row}: ${exception.heldBy}, which holds it, does not exist`)
    }
    if (exception.name === undefined && exception.heldBy === undefined) {
      problems.push(`${exception.row}: an exception names what is missing or the spec that holds it`)
    }
    if (exception.reason.length < 10) problems.push(`${exception.row}: an exception needs a reason`)
  }
  return [...problems, ...uncoveredRows(table, exceptions)]
}

class Probe {
  readonly #program: ts.Program
  readonly #checker: ts.TypeChecker
  readonly #api: ts.SourceFile
  readonly #probe: ts.SourceFile
  readonly #exports: Map<string, ts.Symbol>

  constructor(typings: string, table: PromisedTable) {
    const api = join(root, '__test__', 'api', 'virtual-api.d.ts')
    const probe = join(root, '__test__', 'api', 'virtual-probe.ts')
    const files = new Map([[api, typings], [probe, probeText(typings, table)]])
    const host = ts.createCompilerHost(options)
    const onDisk = host.getSourceFile.bind(host)
    host.fileExists = (file) => files.has(file) || ts.sys.fileExists(file)
    host.readFile = (file) => files.get(file) ?? ts.sys.readFile(file)
    host.getSourceFile = (file, language, onError) => {
      const text = files.get(file)
      if (text !== undefined) return ts.createSourceFile(file, text, language, true)
      if (!sources.has(file)) sources.set(file, onDisk(file, language, onError))
      return sources.get(file)
    }
    this.#program = ts.createProgram([api, probe], options, host)
    this.#checker = this.#program.getTypeChecker()
    const [broken] = this.#program.getGlobalDiagnostics()
    if (broken !== undefined) throw new Error(`the compiler lacks its libraries: ${ts.flattenDiagnosticMessageText(broken.messageText, ' ')}`)
    this.#api = this.#source(api)
    this.#probe = this.#source(probe)
    const module = this.#checker.getSymbolAtLocation(this.#api)
    const exported = module === undefined ? [] : this.#checker.getExportsOfModule(module)
    this.#exports = new Map(exported.map((symbol) => [symbol.name, this.#resolve(symbol)]))
  }

  check(row: PromisedRow, index: number): string[] {
    const what = row.member === undefined ? row.name : `${row.name}.${row.member}`
    const problems: string[] = []
    const say = (text: string): void => void problems.push(`${row.id} ${what}: ${text}`)

    const symbol = this.#exports.get(row.name)
    if (symbol === undefined) return [`${row.id} ${what}: ${row.name} is not exported`]
    if (row.kind === 'type') {
      if ((symbol.flags & ts.SymbolFlags.Type) === 0) say('is no type')
      else this.#fields(this.#alias(`Got${index}`), row.fields ?? [], 'out', '', say)
      return problems
    }
    if ((symbol.flags & ts.SymbolFlags.Value) === 0) return [`${row.id} ${what}: is no value`]

    let subject = symbol
    if (row.member !== undefined) {
      const member = this.#checker.getTypeOfSymbol(symbol).getProperty(row.member)
      if (member === undefined) return [`${row.id} ${what}: is missing`]
      subject = member
    }
    if (!this.#documented(subject)) say('has no docs')
    if (row.kind !== 'object') {
      const signatures = this.#checker.getTypeOfSymbol(subject).getCallSignatures()
      if (signatures.length === 0) say('can not be called')
      if (row.parameters !== undefined || row.result !== undefined) {
        const got = this.#alias(`Got${index}`)
        const attempts = got.getCallSignatures().map((signature) => this.#signature(row, index, signature))
        if (attempts.length === 0) say(`can not be called with ${row.typeArguments?.length ?? 0} type arguments`)
        else if (!attempts.some((found) => found.length === 0)) attempts[0]!.forEach(say)
      }
      if (row.parameterNames !== undefined) {
        const names = signatures[0]?.getParameters().map((parameter) => parameter.name) ?? []
        if (row.parameterNames.some((name, place) => names[place] !== name)) {
          say(`takes (${names.join(', ')}), promised (${row.parameterNames.join(', ')})`)
        }
      }
      if (row.async !== undefined && signatures.length > 0) {
        const isAsync = signatures.every((signature) => this.#isPromise(signature.getReturnType()))
        if (isAsync !== row.async) say(row.async ? 'must return a promise' : 'must answer at once')
      }
    }
    row.use?.forEach((_, place) => this.#useProblems(`use${index}_${place}`).forEach(say))
    return problems
  }

  /** Whether the typings have what an exception says is missing. */
  has(exception: Exception): boolean {
    const symbol = this.#exports.get(exception.name ?? '')
    if (symbol === undefined || (exception.member === undefined && exception.field === undefined)) return symbol !== undefined
    let type = this.#checker.getTypeOfSymbol(symbol)
    if (exception.member !== undefined) {
      const member = type.getProperty(exception.member)
      if (member === undefined) return false
      type = this.#checker.getTypeOfSymbol(member)
    }
    const result = type.getCallSignatures()[0]?.getReturnType()
    if (exception.field === undefined || result === undefined) return true
    let field: ts.Type = this.#awaited(result)
    for (const name of exception.field.split('.')) {
      const next = this.#checker.getNonNullableType(field).getProperty(name)
      if (next === undefined) return false
      field = this.#checker.getTypeOfSymbol(next)
    }
    return true
  }

  /** Every `any` in the typings; a public signature has none. */
  anyTypes(): string[] {
    const found: string[] = []
    const visit = (node: ts.Node): void => {
      if (node.kind === ts.SyntaxKind.AnyKeyword) {
        const { line } = this.#api.getLineAndCharacterOfPosition(node.getStart())
        found.push(`line ${line + 1}: any in ${node.parent.getText().slice(0, 80)}`)
      }
      ts.forEachChild(node, visit)
    }
    visit(this.#api)
    return found
  }

  #signature(row: PromisedRow, index: number, signature: ts.Signature): string[] {
    const problems: string[] = []
    const parameters = signature.getParameters()
    const docs = ts.displayPartsToString(signature.getDocumentationComment(this.#checker))
    row.parameters?.forEach((promised, place) => {
      const got = parameters[place]
      if (got === undefined) problems.push(`lacks the parameter ${promised.name}`)
      else if (got.name !== promised.name) problems.push(`parameter ${place + 1} is ${got.name}, promised ${promised.name}`)
      else this.#parameter(got, promised, `Want${index}_${place}`, docs, problems)
    })
    for (const extra of parameters.slice(row.parameters?.length ?? 0)) {
      if (row.parameters !== undefined && !this.#isOptional(extra)) problems.push(`wants ${extra.name}, which nobody promised`)
    }
    if (row.result !== undefined) {
      const got = this.#awaited(signature.getReturnType())
      this.#compare(got, this.#alias(`WantResult${index}`), 'out', false, 'its result', (text) => problems.push(text))
    }
    return problems
  }

  #parameter(got: ts.Symbol, promised: PromisedField, want: string, docs: string, problems: string[]): void {
    const declaration = got.valueDeclaration
    const isRest = declaration !== undefined && ts.isParameter(declaration) && declaration.dotDotDotToken !== undefined
    if (isRest !== (promised.rest === true)) problems.push(`${got.name} ${isRest ? 'is' : 'is not'} a rest parameter`)
    if (!isRest && this.#isOptional(got) !== (promised.optional === true)) {
      problems.push(`${got.name} is ${promised.optional === true ? 'required' : 'optional'}, promised otherwise`)
    }
    this.#default(got, promised, got.name, (text) => problems.push(text), docs)
    const type = this.#checker.getNonNullableType(this.#checker.getTypeOfSymbol(got))
    if (promised.fields !== undefined) {
      this.#fields(type, promised.fields, 'in', `${got.name}.`, (text) => problems.push(text))
    } else {
      const given = this.#checker.getTypeOfSymbol(got)
      const wanted = this.#alias(want)
      const compared = promised.optional === true ? this.#checker.getNonNullableType(given) : given
      this.#compare(compared, wanted, 'in', promised.wider === true, got.name, (text) => problems.push(text))
    }
  }

  #fields(type: ts.Type, promised: PromisedField[], way: 'in' | 'out', path: string, say: (text: string) => void): void {
    for (const field of promised) {
      const got = type.getProperty(field.name)
      if (got === undefined) {
        say(`lacks the field ${path}${field.name}`)
        continue
      }
      const isOptional = (got.flags & ts.SymbolFlags.Optional) !== 0
      if (isOptional !== (field.optional === true)) say(`${path}${field.name} is ${isOptional ? 'optional' : 'required'}, promised otherwise`)
      this.#default(got, field, `${path}${field.name}`, say)
      const given = this.#checker.getTypeOfSymbol(got)
      const wanted = this.#alias(fieldAlias(field))
      const compared = isOptional ? this.#checker.getNonNullableType(given) : given
      this.#compare(compared, wanted, field.wider === true ? 'in' : way, field.wider === true, `${path}${field.name}`, say)
    }
  }

  #compare(got: ts.Type, want: ts.Type, way: 'in' | 'out', wider: boolean, path: string, say: (text: string) => void): void {
    const show = (type: ts.Type): string => this.#checker.typeToString(type, this.#probe, ts.TypeFormatFlags.NoTruncation)
    const differs = (): void => say(`${path} is ${show(got)}, promised ${show(want)}`)
    if ((got.flags & ts.TypeFlags.Any) !== 0) return say(`${path} is any`)
    // A result that is promised without a type only has to be there.
    if (way === 'out' && (want.flags & ts.TypeFlags.Unknown) !== 0) return
    if (way === 'out' && this.#isShape(want)) {
      if (!this.#isObject(got)) return differs()
      for (const property of want.getProperties()) {
        const found = got.getProperty(property.name)
        if (found === undefined) {
          say(`${path} lacks ${property.name}`)
          continue
        }
        const optional = (property.flags & ts.SymbolFlags.Optional) !== 0
        if (optional !== ((found.flags & ts.SymbolFlags.Optional) !== 0)) say(`${path}.${property.name} is ${optional ? 'required' : 'optional'}, promised otherwise`)
        const strip = (symbol: ts.Symbol): ts.Type => {
          const type = this.#checker.getTypeOfSymbol(symbol)
          return optional ? this.#checker.getNonNullableType(type) : type
        }
        this.#compare(strip(found), strip(property), way, wider, `${path}.${property.name}`, say)
      }
      return
    }
    const covers = this.#checker.isTypeAssignableTo(got, want)
    const accepts = this.#checker.isTypeAssignableTo(want, got)
    const enough = way === 'in' ? accepts && (wider || covers) : covers && (accepts || this.#isLibraryClass(want))
    if (!enough) differs()
  }

  /** `around`: the docs of the function, which may speak of the parameter too. */
  #default(symbol: ts.Symbol, promised: PromisedField, path: string, say: (text: string) => void, around = ''): void {
    if (promised.default === undefined) return
    const tags = symbol.getJsDocTags(this.#checker).filter((tag) => tag.name === 'default' || tag.name === 'defaultValue')
    const tag = tags.map((one) => ts.displayPartsToString(one.text).replaceAll('`', '').replaceAll("'", '').trim())
    if (tag.some((value) => value.split(/[\s,;(]/)[0] === promised.default)) return
    const docs = ts.displayPartsToString(symbol.getDocumentationComment(this.#checker)).replaceAll(/[`']/g, '')
    const value = String.raw`(?<![\w.])${promised.default.replaceAll(/[^\w]/g, String.raw`\$&`)}(?![\w.]*\w)`
    const said = String.raw`(?:default[^.;]{0,30}?${value}|${value} \(the default\))`
    if (new RegExp(said, 'i').test(docs)) return
    const spoken = around.replaceAll(/[`']/g, '')
    if (new RegExp(String.raw`\b${promised.name}: [^.;]{0,60}?${said}`, 'i').test(spoken)) return
    say(`the docs of ${path} do not give its default, ${promised.default}`)
  }

  #documented(symbol: ts.Symbol): boolean {
    if (symbol.getDocumentationComment(this.#checker).length > 0) return true
    return symbol.getJsDocTags(this.#checker).length > 0
  }

  #useProblems(name: string): string[] {
    const marked = this.#probe.statements.find((statement) => statement.getFullText().includes(`/* ${name} */`))
    if (marked === undefined) return [`the probe lost ${name}`]
    const problems = this.#program.getSemanticDiagnostics(this.#probe).filter((one) => {
      const start = one.start ?? -1
      return start >= marked.getFullStart() && start < marked.getEnd()
    })
    return problems.map((one) => `can not be used as promised: ${ts.flattenDiagnosticMessageText(one.messageText, ' ')}`)
  }

  #alias(name: string): ts.Type {
    const alias = this.#probe.statements.find((one) => ts.isTypeAliasDeclaration(one) && one.name.text === name)
    if (alias === undefined) throw new Error(`the probe has no ${name}`)
    return this.#checker.getTypeAtLocation(alias)
  }

  #isOptional(parameter: ts.Symbol): boolean {
    const declaration = parameter.valueDeclaration
    if (declaration === undefined || !ts.isParameter(declaration)) return false
    return declaration.dotDotDotToken !== undefined || this.#checker.isOptionalParameter(declaration)
  }

  #isPromise(type: ts.Type): boolean {
    return type.symbol?.name === 'Promise'
  }

  #awaited(type: ts.Type): ts.Type {
    return this.#checker.getAwaitedType(type) ?? type
  }

  #isObject(type: ts.Type): boolean {
    return (type.flags & ts.TypeFlags.Object) !== 0
  }

  #isShape(type: ts.Type): boolean {
    if (!this.#isObject(type) || type.getCallSignatures().length > 0 || this.#checker.isArrayLikeType(type)) return false
    const file = type.symbol?.declarations?.[0]?.getSourceFile()
    return file === this.#probe || file === this.#api
  }

  #isLibraryClass(type: ts.Type): boolean {
    return this.#isObject(type) && !this.#checker.isArrayLikeType(type) && !this.#isShape(type)
  }

  #resolve(symbol: ts.Symbol): ts.Symbol {
    return (symbol.flags & ts.SymbolFlags.Alias) !== 0 ? this.#checker.getAliasedSymbol(symbol) : symbol
  }

  #source(file: string): ts.SourceFile {
    const source = this.#program.getSourceFile(file)
    if (source === undefined) throw new Error(`the compiler lost ${file}`)
    return source
  }
}

function fieldAlias(field: PromisedField): string {
  return `Field_${field.name}_${Buffer.from(field.type ?? '').toString('hex')}`
}

/** A file that spells out what is wanted, so that the compiler itself compares. */
function probeText(typings: string, table: PromisedTable): string {
  const lines = ["import * as api from './virtual-api'", 'interface Sample { sample: string }']
  const names = new Set([...JSON.stringify(table).matchAll(/\b[A-Z][A-Za-z]+\b/g)].map(([name]) => name))
  const types = table.promised.filter((row) => row.kind === 'type' && names.has(row.name) && typings.includes(row.name))
  for (const row of types) {
    if (row.typeArguments === undefined) lines.push(`type ${row.name} = api.${row.name}`)
  }
  const seen = new Set<string>()
  const declare = (name: string, type: string | undefined): void => {
    if (!seen.has(name)) lines.push(`type ${name} = ${type ?? 'unknown'}`)
    seen.add(name)
  }
  const fields = (list: PromisedField[]): void => list.forEach((field) => declare(fieldAlias(field), field.type))
  table.promised.forEach((row, index) => {
    const path = ['api', row.name, row.member].filter((part) => part !== undefined).join('.')
    const generic = row.typeArguments === undefined ? '' : `<${row.typeArguments.join(', ')}>`
    declare(`Got${index}`, row.kind === 'type' ? `api.${row.name}${generic}` : `typeof ${path}${generic}`)
    row.parameters?.forEach((parameter, place) => {
      declare(`Want${index}_${place}`, parameter.type)
      fields(parameter.fields ?? [])
    })
    fields(row.fields ?? [])
    if (row.result !== undefined) declare(`WantResult${index}`, row.result)
    row.use?.forEach((use, place) => lines.push(`/* use${index}_${place} */ function use${index}_${place}() { ${use} }`))
  })
  return `${lines.join('\n')}\nexport {}\n`
}
