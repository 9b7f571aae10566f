# Every sentence that a person reads about a refusal, keyed by its code (dots become dashes).
# Value: what happened. .means: what follows from it. .do: the next step. Codes never change meaning.

## quote: the TPM's signed statement

## identity and enrolment

## log and boot: what was measured

## model and release

## assignment and policy

## engine and gateway

## record and console
