import { testSeeds } from './seed-tests.ts'

testSeeds(21, 40)
