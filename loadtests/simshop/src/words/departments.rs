//! What the shop sells: departments, their shelves, and words for each.

/// A department, the main category of its items.
pub(crate) struct Department {
    /// Its name.
    pub(crate) name: &'static str,
    /// Second-level categories, each with the things on that shelf.
    pub(crate) shelves: [(&'static str, [&'static str; 4]); 5],
    /// What the things are made of.
    pub(crate) materials: [&'static str; 5],
    /// Where or when they are used.
    pub(crate) places: [&'static str; 5],
    /// Plain facts, without style.
    pub(crate) facts: [&'static str; 6],
}

pub(crate) const DEPARTMENTS: [Department; 8] = [
    Department {
        name: "furniture",
        shelves: [
            ("tables", ["coffee table", "dining table", "side table", "desk"]),
            ("seating", ["armchair", "dining chair", "bench", "stool"]),
            ("storage", ["bookcase", "sideboard", "chest of drawers", "wardrobe"]),
            ("beds", ["bed frame", "daybed", "headboard", "bunk bed"]),
            ("small furniture", ["nightstand", "coat rack", "shoe cabinet", "wall shelf"]),
        ],
        materials: ["oak", "walnut", "steel", "bamboo", "birch"],
        places: ["the living room", "the bedroom", "a small flat", "the hallway", "the study"],
        facts: [
            "It is delivered flat and stands in under an hour.",
            "The surface is sealed against water and coffee.",
            "Felt pads for wooden floors are included.",
            "Every joint can be tightened again after years.",
            "It carries up to eighty kilograms.",
            "Spare parts can be ordered for ten years.",
        ],
    },
    Department {
        name: "lighting",
        shelves: [
            ("table lamps", ["table lamp", "desk lamp", "bedside lamp", "reading lamp"]),
            ("floor lamps", ["floor lamp", "arc lamp", "tripod lamp", "uplighter"]),
            ("ceiling lights", ["pendant", "chandelier", "ceiling light", "cluster light"]),
            ("candles", ["candle holder", "lantern", "tealight set", "candelabra"]),
            ("string lights", ["string light", "fairy light", "light curtain", "garland light"]),
        ],
        materials: ["brass", "glass", "paper", "steel", "ceramic"],
        places: ["the reading corner", "the dinner table", "the bedside", "the porch", "the desk"],
        facts: [
            "The bulb is included and can be replaced.",
            "A dimmer sits on the cable.",
            "The cable is two metres long.",
            "It uses four watts at full brightness.",
            "It stays cool enough to touch.",
            "The shade wipes clean with a dry cloth.",
        ],
    },
    Department {
        name: "kitchen",
        shelves: [
            ("tableware", ["dinner plate", "soup bowl", "serving platter", "breakfast set"]),
            ("drinkware", ["mug", "carafe", "wine glass set", "teapot"]),
            ("cookware", ["saucepan", "casserole", "frying pan", "roasting dish"]),
            ("utensils", ["knife block", "salad bowl", "chopping board", "spice mill"]),
            ("jars", ["storage jar", "bread bin", "oil bottle", "sugar bowl"]),
        ],
        materials: ["stoneware", "porcelain", "glass", "steel", "enamel"],
        places: ["everyday cooking", "long dinners", "Sunday breakfast", "a picnic", "the oven"],
        facts: [
            "It may go into the dishwasher.",
            "It keeps food warm for half an hour.",
            "The base works on every hob, induction too.",
            "Pieces can be bought one by one.",
            "It stacks to save room.",
            "Free of lead and cadmium.",
        ],
    },
    Department {
        name: "textiles",
        shelves: [
            ("bedding", ["duvet cover", "pillowcase set", "fitted sheet", "bedspread"]),
            ("throws", ["throw", "blanket", "plaid", "quilt"]),
            ("rugs", ["rug", "runner", "bath mat", "doormat"]),
            ("cushions", ["cushion", "floor cushion", "bolster", "seat pad"]),
            ("curtains", ["curtain", "roller blind", "cafe curtain", "tablecloth"]),
        ],
        materials: ["linen", "cotton", "wool", "velvet", "jute"],
        places: ["the sofa", "the guest room", "cold evenings", "the window seat", "the nursery"],
        facts: [
            "It can be washed at forty degrees.",
            "The weave is close and hardly pills.",
            "Colours stay fast in the sun.",
            "Hidden zips make the cover easy to take off.",
            "Made from long fibres for a soft hand.",
            "The edges are sewn twice.",
        ],
    },
    Department {
        name: "clothing",
        shelves: [
            ("shirts", ["shirt", "blouse", "t-shirt", "polo shirt"]),
            ("knitwear", ["jumper", "cardigan", "scarf", "roll-neck"]),
            ("jackets", ["jacket", "raincoat", "parka", "waistcoat"]),
            ("dresses", ["dress", "skirt", "jumpsuit", "tunic"]),
            ("shoes", ["sneaker", "ankle boot", "sandal", "loafer"]),
        ],
        materials: ["cotton", "merino", "denim", "leather", "viscose"],
        places: ["the office", "a weekend away", "late summer", "rainy days", "an evening out"],
        facts: [
            "It fits true to size.",
            "The seams lie flat and do not rub.",
            "It dries overnight on the line.",
            "Two pockets take a phone and keys.",
            "The cut leaves room for another layer.",
            "Buttons are sewn on with a shank.",
        ],
    },
    Department {
        name: "bags",
        shelves: [
            ("backpacks", ["backpack", "daypack", "roll-top bag", "laptop rucksack"]),
            ("handbags", ["handbag", "clutch", "shoulder bag", "tote"]),
            ("travel", ["weekender", "suitcase", "garment bag", "wash bag"]),
            ("wallets", ["wallet", "card holder", "coin purse", "passport cover"]),
            ("work bags", ["briefcase", "messenger bag", "document case", "laptop sleeve"]),
        ],
        materials: ["leather", "canvas", "nylon", "felt", "cork"],
        places: ["the commute", "a short trip", "the market", "the aeroplane", "the library"],
        facts: [
            "The strap can be set to any length.",
            "An inner pocket closes with a zip.",
            "It fits under the seat in front.",
            "The lining is light so that things are found.",
            "Water runs off the outside.",
            "A padded compartment holds a fifteen-inch computer.",
        ],
    },
    Department {
        name: "stationery",
        shelves: [
            ("notebooks", ["notebook", "sketchbook", "diary", "planner"]),
            ("pens", ["fountain pen", "pencil set", "brush pen", "rollerball"]),
            ("cards", ["greeting card set", "postcard set", "gift tag set", "letter set"]),
            ("desk tidies", ["pen pot", "letter tray", "desk mat", "book end"]),
            ("prints", ["art print", "wall calendar", "poster", "framed print"]),
        ],
        materials: ["paper", "card", "brass", "beech", "cloth"],
        places: ["morning pages", "the desk", "travel notes", "letters", "the wall above the desk"],
        facts: [
            "The paper takes ink without bleeding.",
            "It lies flat when open.",
            "Pages are numbered and there is an index.",
            "Printed with plant-based ink.",
            "Packed without plastic.",
            "Refills are easy to find.",
        ],
    },
    Department {
        name: "garden",
        shelves: [
            ("pots", ["plant pot", "hanging planter", "window box", "raised bed"]),
            ("tools", ["pruning knife", "hand trowel", "watering can", "garden fork"]),
            ("outdoor seating", ["deckchair", "garden bench", "hammock", "bistro set"]),
            ("decoration", ["bird bath", "wind chime", "trellis", "garden mirror"]),
            ("grilling", ["fire bowl", "grill", "pizza stone", "tong set"]),
        ],
        materials: ["terracotta", "zinc", "teak", "rattan", "iron"],
        places: ["the terrace", "a balcony", "the herb bed", "summer evenings", "the allotment"],
        facts: [
            "It can stay outside all winter.",
            "A hole lets the water drain.",
            "It folds flat for the shed.",
            "It weighs less than three kilograms.",
            "The finish does not rust.",
            "The grip suits small and large hands.",
        ],
    },
];
