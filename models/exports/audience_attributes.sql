{%- set of_customers = declared_definitions(['customer_attribute']) -%}
{%- set names_of_customers = of_customers | map(attribute='attribute') | unique | list -%}
{%- set of_products = declared_definitions(['product_attribute']) -%}
{%- set names_of_products = of_products | map(attribute='attribute') | unique | list -%}

with reachable as (

    select * from {{ ref('customers') }}
    where email is not null or phone is not null

),

customers as (

    {{ json_documents('reachable', 'attributes', names_of_customers, is_sound('attributes')) | indent(4) }}

),

eligibility as (

    select * from {{ ref('email_eligibility') }}

),

lifecycles as (

    select * from {{ ref('customer_lifecycles') }}

),

scores as (

    select
        namespace,
        customer_id,
        {%- for score in score_names() %}
        max(case when score = '{{ score }}' then percentile end) as {{ score }},
        max(case when score = '{{ score }}' then band end) as {{ score }}_band,
        {%- endfor %}
        min(computed_at) as score_computed_at
    from {{ ref('customer_scores') }}
    group by namespace, customer_id

),

all_products as (

    select * from {{ ref('products') }}

),

products as (

    {{ json_documents('all_products', 'attributes', names_of_products, is_sound('attributes')) | indent(4) }}

),

last_products as (

    select * from {{ ref('last_products') }}

)

select
    customers.namespace,
    customers.customer_id,
    customers.email,
    customers.phone,
    coalesce(eligibility.status = 'unsubscribed', false) as is_unsubscribed,
    customers.email_consent,
    customers.sms_consent,
    {%- for definition in of_customers %}
    {{ attribute_value('customers.document', definition, 'customers.namespace') }} as {{ definition.name }},
    {%- endfor %}
    last_products.last_viewed_product_id,
    last_products.last_purchased_product_id,
    {%- for definition in of_products %}
    {{ attribute_value(definition.product ~ '.document', definition, 'customers.namespace') }}
        as {{ definition.name }},
    {%- endfor %}
    lifecycles.lifecycle_stage,
    {%- for definition in declared_definitions(['score', 'score_band', 'channel_affinity']) %}
    scores.{{ definition.name }},
    {%- endfor %}
    scores.score_computed_at,
    {{ surrogate_key(['customers.namespace', 'customers.customer_id']) }} as unique_key
from customers
left join eligibility
    on customers.namespace = eligibility.namespace
    and customers.email = eligibility.email
left join lifecycles
    on customers.namespace = lifecycles.namespace
    and customers.customer_id = lifecycles.customer_id
left join scores
    on customers.namespace = scores.namespace
    and customers.customer_id = scores.customer_id
left join last_products
    on customers.namespace = last_products.namespace
    and customers.customer_id = last_products.customer_id
left join products as last_viewed
    on last_products.namespace = last_viewed.namespace
    and last_products.last_viewed_product_id = last_viewed.product_id
left join products as last_purchased
    on last_products.namespace = last_purchased.namespace
    and last_products.last_purchased_product_id = last_purchased.product_id
order by customers.namespace, customers.customer_id
