{%- set fields = ['namespace', 'customer_id', 'email', 'email_consent', 'email_consent_at', 'updated_at'] -%}

with customers as (

    select * from {{ ref('base_platform__customers') }}

),

-- Also of a record that nobody can date, and that is rejected for it.
parsed as (

    {{ json_documents('customers', 'payload', fields, "fault is null or fault = 'updated_at is no time'") | indent(4) }}

),

typed as (

    select
        {{ name_said('namespace') }} as namespace,
        {{ name_said('customer_id') }} as customer_id,
        {{ tidy_address(json_field('document', 'email')) }} as email,
        {{ typed(json_field('document', 'email_consent'), 'boolean') }} as email_consent_said,
        {{ filled(json_field('document', 'email_consent_at')) }} as date_said,
        {{ try_timestamp(json_field('document', 'email_consent_at')) }} as email_consent_at,
        coalesce({{ time_of_record('updated_at') }}, {{ was_there_at() }}) as updated_at
    from parsed

),

-- A date that nobody can read is one: it is of when the record says so.
dated as (

    select
        namespace,
        customer_id,
        email,
        coalesce(email_consent_at, updated_at) as withdrawn_at,
        updated_at
    from typed
    where not email_consent_said and date_said is not null and namespace is not null

)

select
    namespace,
    customer_id,
    email,
    withdrawn_at,
    max(updated_at) as updated_at
from dated
group by namespace, customer_id, email, withdrawn_at
