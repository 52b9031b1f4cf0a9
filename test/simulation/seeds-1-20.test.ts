import { testDeterminism, testSeeds } from './seed-tests.ts'

testSeeds(1, 20)
testDeterminism(7)
